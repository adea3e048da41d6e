"""Result files: writing and reading them, comparing and drawing them."""
