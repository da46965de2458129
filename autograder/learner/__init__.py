"""What a learner's commands do in a clone, or in the folder of an assignment.

progress   `status`: how far one is, exercise by exercise
workbench  `fill`, `reset` and `solution`
update     `update`: a newer course, own edits kept
submit     `submit`: one zip file with all that is handed in
magics     `%implement` and `%%implement`: write an exercise in a notebook cell
editing    a learner's file, function by function
merging    a learner's file and the newer course's, brought together
"""
