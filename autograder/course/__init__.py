"""An instructor's course, written from the chapters.

config      course.toml, the one file that an instructor edits
capstones   what it says of capstones
write       `course`: assignments, configuration, hidden checks; and `leaks`
assignment  the files of one assignment
imports     which files some code needs
leaks       answers, hidden checks and secrets where learners could read them
command     what the commands of a course have in common
formgrader  `formgrader`: JupyterLab on that course
template/   the course's own nbgrader_config.py, and the steps of nbgrader that it replaces
"""
