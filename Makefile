# Shortcuts for frequent commands. `make run PORT=5050`
PORT ?= 5050
IRCTEST_MARKS = not services and not implementation-specific and not deprecated and not strict

.PHONY: help setup run certificate test cases coverage lint types format bench chaos figures floods fuzz kill picture smooth soak irctest

help: # list the targets
	@grep -E '^[a-z]+:.*#' Makefile | sed 's/:[^#]*#/ -/'

setup: # install the dependencies into .venv
	./setup

run: setup # start a server: make run PORT=5050
	./server.py $(PORT)

certificate: # make a private certificate for TLS: make certificate NAMES="chat.example.org 192.168.1.5"
	@tools/certificate $(NAMES)

test: setup # all tests
	.venv/bin/pytest

cases: # the scripted cases alone
	python3 testing.py

coverage: setup # all tests, and the lines that they do not reach
	./testcov

lint: setup # ruff
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: setup # mypy
	.venv/bin/mypy

picture: setup # draw the pictures of the client and of the page in the README
	.venv/bin/python -m tools.picture
	PYTHONPATH=testing .venv/bin/python -m support.page_picture

format: setup # let ruff format the source
	.venv/bin/ruff format

bench: setup # compare the speed with that of other servers: make bench QUICK=1 only tries it
	$(if $(QUICK),,-.venv/bin/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt)
	.venv/bin/python -m bench $(if $(QUICK),--quick) $(BENCH)

chaos: setup # kill and freeze the nodes and engines of a cluster: make chaos SECONDS=600
	./setup --engine
	.venv/bin/python -m tools.chaos --seconds $(or $(SECONDS),60)

irctest: setup # play irctest against the server: make irctest IRCTEST=../irctest TESTS="-k part"
	@test -f "$(IRCTEST)/requirements.txt" || { echo "make irctest: IRCTEST names no checkout of irctest" >&2; exit 2; }
	.venv/bin/python -m pip install -q --disable-pip-version-check -r "$(IRCTEST)/requirements.txt"
	cd "$(IRCTEST)" && PYTHONPATH="$(CURDIR)/testing/irctest" "$(CURDIR)/.venv/bin/python" -m pytest -q -n 4 --tb=short \
		-p irctest_verdict --controller crosstalk_controller -m "$(or $(MARKS),$(IRCTEST_MARKS))" $(TESTS)

kill: setup # kill the server under load: make kill ROUNDS=500
	.venv/bin/python -m tools.killing --rounds $(or $(ROUNDS),500)

floods: setup # measure what floods cost others: make floods SECONDS=10
	.venv/bin/python -m tools.floods --seconds $(or $(SECONDS),5)

fuzz: setup # send anything in every dialect: make fuzz SECONDS=3600
	FUZZ_SECONDS=$(or $(SECONDS),60) .venv/bin/pytest -n 0 --no-cases testing/unit/dialects/test_fuzz.py

smooth: setup # measure a page to which lines come fast: make smooth SECONDS=30
	PYTHONPATH=testing .venv/bin/python -m support.page_load --seconds $(or $(SECONDS),5)

soak: setup # mixed load with faults for one server: make soak SECONDS=300
	.venv/bin/python -m tools.soak --seconds $(or $(SECONDS),300)

figures: setup # measure a cluster on this machine
	./setup --engine
	.venv/bin/python -m tools.figures
