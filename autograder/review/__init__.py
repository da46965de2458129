"""What a person looks at after grading: never a score.

flags       `python -m autograder flags`: what was found in the texts and while the code ran
similarity  `python -m autograder similarity`: submissions that share more than a class shares
lms         `python -m autograder lms`: grades in the files that Canvas and Moodle take
tables      CSV that no spreadsheet runs
"""
