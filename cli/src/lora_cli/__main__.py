"""`python -m lora_cli`, and the programs `kubectl-lora` and `lora`."""

from lora_cli.app import main

if __name__ == "__main__":
    main()
