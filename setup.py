"""What `pip install .` and a Beam worker (`--setup_file`) install: the three packages, with their data.

Name, version and dependencies are in pyproject.toml.
"""

from setuptools import find_packages, setup

OUR_PACKAGES = ("trainer", "components", "pipeline")

setup(
    packages=find_packages(include=[pattern for name in OUR_PACKAGES for pattern in (name, f"{name}.*")]),
    package_data={"": ["**/*"]},
    exclude_package_data={"": ["*.pyc", "__pycache__/*", "**/__pycache__/*"]},
)
