"""`kubectl lora ui`: a page on this machine, with the user's own rights.

What it says is decided in `views` and `moments`, from the same rows and sentences as the command line's; the browser only
draws it. No other web page, and no other user of the machine, may use it: `guard`.
"""
