# One word for each habit. `make run PORT=5050`
PORT ?= 5050

.PHONY: setup run test cases coverage lint types format bench

setup:
	./setup

run: setup
	./server.py $(PORT)

test: setup
	.venv/bin/pytest

cases:
	python3 testing.py

coverage: setup
	./testcov

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: setup
	.venv/bin/mypy

format: setup
	.venv/bin/ruff format

bench: setup
	.venv/bin/python bench.py
