"""Sentences, and what many people felt about each."""
import io
import json
import re
import tarfile

from ..download import LARGEST, DataError, Source


def _read_ratings(members: dict[str, bytes]) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
    """Join texts and ratings by their numbers; both lie in an archive inside the carrier's archive."""
    (inner,) = members.values()
    files = {}
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if member.isfile() and name.endswith(("_GroundTruth.txt", "_anonDataRatings.txt")):
                stream = archive.extractfile(member)
                if stream is None or member.size > LARGEST:
                    raise DataError(f"{name} in the carrier of the ratings cannot be read.")
                rows = [line.split("\t", 3) for line in stream.read().decode("utf-8-sig").splitlines()]
                files[name] = {row[0]: row[-1].strip() for row in rows if len(row) > 2}
    sets = {
        "movies": "movieReviewSnippets", "amazon": "amazonReviewSnippets", "tweets": "tweets",
        "editorials": "nytEditorialSnippets",
    }  # fmt: skip
    return {
        name: [
            (" ".join(re.split(r"\s+", text)), tuple(json.loads(files[f"{stem}_anonDataRatings.txt"][number])))
            for number, text in files[f"{stem}_GroundTruth.txt"].items()
        ]
        for name, stem in sets.items()
    }


SOURCES = (
    Source(
        name="ratings",
        title="Sentences and what people felt about them",
        about="Sentences from film and product reviews, tweets and editorials, each rated by many people from −4 "
        "(extremely negative) to 4 (extremely positive); every single rating is there. The film sentences were "
        "cut from the reviews of Pang and Lee.",
        project="vaderSentiment",
        version="3.3.2",
        file="vaderSentiment-3.3.2.tar.gz",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        size=2_466_783,
        members=("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",),
        read=_read_ratings,
        licence="ratings and package of C. J. Hutto: MIT; the sentences are quotations from Rotten Tomatoes, "
        "Amazon, Twitter and the New York Times",
        citations=("hutto2014",),
        online="[SST-2](https://nlp.stanford.edu/sentiment/), film sentences with labels for every phrase",
    ),
)
