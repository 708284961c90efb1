# make env    the program and its parts for scores and pictures, in .venv (no torch)
# make demo   the example song becomes a piano score, and the example recording of a piano notes, in out/
# make test   style and tests, in .venv-test (with torch)
# make lint   style only
# make bench  accuracy and speed on the MAPS test recordings; MAPS=folder says where flac/ and tsv/matched/ are.
#             With BANDS=folder (one split of a store of `spartito train bands`) also of covers, with
#             RECORDINGS=folder also how covers of those songs sound
#
# PYTHON is the Python to start from (3.10 or later). TORCH is what pip is given to install torch; a build for the
# CPU alone is a tenth of the size:
#   make test TORCH="torch --index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
TORCH ?= torch==2.13.0
PIP = -m pip --disable-pip-version-check --quiet
MAPS ?= ../data/MAPS
BANDS ?=
RECORDINGS ?=

.PHONY: env demo test lint format bench clean

env: .venv/installed
demo: .venv/installed
	.venv/bin/spartito cover examples/song.ogg --output out/
	.venv/bin/spartito transcribe examples/piano.ogg --output out/
	@echo
	@echo "The song (examples/song.ogg) for piano, and the piano piece (examples/piano.ogg) as it was played:"
	@echo "  scores    out/song_cover.pdf   out/piano_transcription.pdf   (and .musicxml, for notation programs)"
	@echo "  notes     out/song_cover.mid   out/piano_transcription.mid   (and .csv)"
	@echo "  sound     out/song_cover.wav   out/piano_transcription.wav"
	@echo "  pictures  out/song_cover.png   out/piano_transcription.png"
	@echo "Beats, chords, key and tune of the song, to be corrected by hand: out/song_analysis.json"

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) install --editable ".[score,plot]"
	@touch $@

.venv-test/installed: pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python $(PIP) install $(TORCH)
	.venv-test/bin/python $(PIP) install --editable ".[dev]"
	@touch $@

test: lint
	.venv-test/bin/python -m pytest

lint: .venv-test/installed
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .

format: .venv-test/installed
	.venv-test/bin/ruff check --fix .
	.venv-test/bin/ruff format .

bench: .venv-test/installed
	.venv-test/bin/python benchmarks/transcription.py --audio $(MAPS)/flac --references $(MAPS)/tsv/matched \
		--match ENSTDk --output out/benchmarks
ifneq ($(BANDS),)
	.venv-test/bin/python benchmarks/analysis.py $(BANDS) --output out/benchmarks
	.venv-test/bin/python benchmarks/cover.py $(BANDS) --output out/benchmarks
	.venv-test/bin/python benchmarks/cover.py examples/song.ogg --stages a2s --output out/benchmarks
endif
ifneq ($(RECORDINGS),)
	.venv-test/bin/python benchmarks/real_songs.py $(RECORDINGS) --output out/benchmarks/songs
endif

clean:
	rm -rf .venv .venv-test build dist out .pytest_cache .ruff_cache src/*.egg-info
