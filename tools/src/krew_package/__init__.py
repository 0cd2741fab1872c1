"""`kubectl lora` as krew installs it: an archive with the wheel and a launcher, and the manifest that names it."""
