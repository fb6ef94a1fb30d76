"""What a device and its installation are fit for: one verdict per question.

:mod:`edge_asd.doctor.examination` holds the table of checks. Each module beside it answers
some of them with small functions of facts, read below a root folder that tests replace.
Whatever can crash or hang, a library made for another processor or a sound driver, runs
in a child process, so that its death is a verdict as well.
"""
