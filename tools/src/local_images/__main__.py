"""`python -m local_images`."""

from local_images.cli import main

if __name__ == "__main__":
    main()
