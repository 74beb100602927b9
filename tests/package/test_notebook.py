"""notebooks/ca4_producer.ipynb, executed as a user would, against a live pipeline with real photographs and a real model."""

import glob
import json
import os
import pathlib
import re
import subprocess
import sys
import types

import nbformat
import pandas
import pytest
from nbclient import NotebookClient
from support import MODEL, PATIENCE_S, PHOTOS, ROOT, documents, run

NOTEBOOK = ROOT / "notebooks/ca4_producer.ipynb"
TOKEN = "a-token-for-this-test"


@pytest.fixture
def executed(up, tmp_path, monkeypatch):
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN + "\n")
    server = up("--token-file", tokens)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    given = {"ENDPOINT": server.url, "TOKEN": TOKEN, "IMAGES": str(PHOTOS), "MODEL": str(MODEL), "PIPELINE": "notebook", "PACKAGE": "none"}
    parameters.source = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    monkeypatch.chdir(tmp_path)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    nbformat.write(notebook, ROOT / "build/wheel/executed.ipynb")  # to look at: jupyter nbconvert --to html
    return server, notebook


def outputs_of(notebook, source, mime):
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and source in cell.source]
    return [output["data"][mime] for output in cell.outputs if mime in output.get("data", {})]


def test_every_cell_shows_what_it_is_for(executed):
    server, notebook = executed
    stored = documents(server.data_dir)
    different = len({path.read_bytes() for path in PHOTOS.iterdir()})
    assert len(stored) == different
    errors = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if o.output_type == "error"]
    assert not errors
    (machine,) = outputs_of(notebook, "ca4.gpu_info()", "text/html")
    assert "cpu_model" in machine
    (table,) = outputs_of(notebook, "pandas.DataFrame({\"image\"", "text/html")
    assert f"{different} rows" in table
    # Newest first, and pandas leaves the middle out: which ones are shown differs.
    assert sum(f"<td>{path.name}</td>" in table for path in PHOTOS.iterdir()) >= 10
    pictures = outputs_of(notebook, "nearest neighbours, with their cosine", "image/png")
    plots = outputs_of(notebook, "gpu.set(ylabel=", "image/png")
    # Base64 of a figure of 20 photographs, and of a plot: an empty figure has a few kB.
    assert len(pictures) == 1 and len(pictures[0]) > 200_000
    assert len(plots) == 1 and len(plots[0]) > 10_000
    (sent,) = [o["text"] for c in notebook.cells if c.cell_type == "code" and "producer.run(" in c.source
               for o in c.outputs if o.output_type == "stream" and o.name == "stdout"]
    assert f"{different} sent" in sent


def source_of(tell):
    (source,) = [c.source for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code" and tell in c.source]
    return source


def test_without_the_uploaded_wheel_it_says_where_that_comes_from(tmp_path):
    """In a Python that has no ca4: this one's, outside of the virtual environment."""
    (parameters,) = [line for line in source_of("PACKAGE =").splitlines() if line.startswith("PACKAGE =")]
    command = [pathlib.Path(sys.base_prefix) / "bin/python3", "-I", "-c", f"{parameters}\n{source_of('import ca4')}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ran.returncode == 1
    assert re.search(r"^FileNotFoundError: There is no file 'ca4_producer-\*\.whl' here: run `make wheel`", ran.stderr, re.MULTILINE), ran.stderr


def test_a_folder_a_pattern_and_a_list_are_the_same_files():
    def files_of(images):
        scope = {"IMAGES": images, "os": os, "pathlib": pathlib, "glob": glob}
        exec(source_of("def files_of"), scope)
        return scope["paths"]

    every = sorted(str(path) for path in PHOTOS.iterdir())
    assert files_of(str(PHOTOS)) == files_of(PHOTOS) == files_of(f"{PHOTOS}/*") == files_of(every) == every
    assert files_of(f"{PHOTOS}/chelsea.*") == [str(PHOTOS / "chelsea.png")]
    with pytest.raises(FileNotFoundError, match="There is no image in IMAGES"):
        files_of(f"{PHOTOS}/*.gif")


def test_without_the_address_it_says_so_before_a_model_is_made():
    with pytest.raises(ValueError, match="ENDPOINT, in the first cell, is 'name.ngrok-free.app' and no URL"):
        exec(source_of("getpass.getpass"), {"ENDPOINT": "name.ngrok-free.app", "TOKEN": "x"})


def test_a_processor_without_a_store_has_nothing_to_show_and_that_is_no_error(serve, tmp_path, capsys):
    given = {"ENDPOINT": serve("serve", tmp_path / "data").url, "TOKEN": "", "PIPELINE": "notebook", "summary": types.SimpleNamespace(sent=0, already_sent=0)}
    scope = given | {"pandas": pandas, "pathlib": pathlib}
    exec(source_of("def ask"), scope)
    assert "its workers have them" in capsys.readouterr().out
    exec(source_of("def picture"), scope)


def test_a_token_that_may_not_read_is_told_as_the_processor_tells_it(serve, tmp_path):
    token = run("token", "new", "--token-file", tmp_path / "tokens", "--name", "colab").stdout.strip()
    given = {"ENDPOINT": serve("serve", tmp_path / "data", "--token-file", tmp_path / "tokens").url, "TOKEN": token, "PIPELINE": "notebook"}
    with pytest.raises(RuntimeError, match="HTTP 403: .*token 'colab' has no scope read"):
        exec(source_of("def ask"), given | {"pandas": pandas, "pathlib": pathlib})


def test_the_notebook_is_committed_without_outputs():
    text = json.loads(NOTEBOOK.read_text())
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in text["cells"])
