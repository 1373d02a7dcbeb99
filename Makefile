# One word for each habit. `make run PORT=5050`
PORT ?= 5050

.PHONY: help setup run test cases coverage lint types format bench

help: # what there is
	@grep -E '^[a-z]+:.*#' Makefile | sed 's/:[^#]*#/ -/'

setup: # install what is needed into .venv
	./setup

run: setup # start a server: make run PORT=5050
	./server.py $(PORT)

test: setup # all tests
	.venv/bin/pytest

cases: # the scripted cases alone
	python3 testing.py

coverage: setup # all tests, and what they do not reach
	./testcov

lint: setup # ruff
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: setup # mypy
	.venv/bin/mypy

format: setup # let ruff format the source
	.venv/bin/ruff format

bench: setup # how fast is it
	.venv/bin/python -m tools.bench
