"""
A web page that reads an ECG: picture, scores of labels, explanation, report, and downloads.

Nothing is stored: uploaded files are deleted when they have been read, and pictures and downloads are part of the page.
On the Hub, `MERIT_MODEL` and `MERIT_REPORT_MODEL` name the checkpoints.
"""

import base64
import html
import io
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from merit import EcgError, checkpoints
from merit.delineation import measure
from merit.plot import as_recorded, draw_ecg
from merit.processing.explanation_merit import CAPTION
from merit.processing.leads_merit import STANDARD_LEADS
from merit.training.simulation.heart import simulate_ecg
from merit.training.simulation.parameters import sample_parameters

NOTICE = "Research software, not a medical device: no finding here may guide the care of a patient."
LABELS = (
    "normal ECG",
    "atrial fibrillation",
    "inferior myocardial infarction",
    "anterior myocardial infarction",
    "left bundle branch block",
    "right bundle branch block",
    "premature ventricular complexes",
    "left ventricular hypertrophy",
    "first degree AV block",
)
EXAMPLES = {
    "Normal (simulated)": "NORM",
    "Inferior infarction (simulated)": "IMI",
    "Left bundle branch block (simulated)": "CLBBB",
    "Atrial fibrillation (simulated)": "AFIB",
    "Premature ventricular beats (simulated)": "PVC",
}
MAX_FILE_SIZE = "20mb"
MAX_LABELS = 30
_CSS = """
.gradio-container {max-width: 1100px !important}
.ecg {overflow-x: auto} .ecg img {min-width: 720px; width: 100%}
.scores {width: 100%; border-collapse: collapse} .scores td, .scores th {padding: 0.3em 0.5em; text-align: left}
.scores meter {width: 100%; min-width: 4em}
.downloads a {display: inline-block; margin: 0.5em 1em 0.5em 0; text-decoration: underline}
.error {border-left: 4px solid #b00020; padding: 0.5em 1em}
"""


class Reader:
    """Answers the page with a dual encoder and, if there is one, a model that writes reports."""

    def __init__(self, model: str, report_model: str | None = None):
        self.classify = checkpoints.load_pipeline(model, checkpoints.DUAL_ENCODER)
        self.report = checkpoints.load_pipeline(report_model, checkpoints.REPORT_MODEL) if report_model else None

    def read(
        self, files: Sequence[str] | None, example: str | None, chosen: Sequence[str], written: str, explain: bool
    ) -> tuple[str, str, str]:
        """The HTML of the picture, of the scores, and of the report with the downloads."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                record = recording(files, example, folder)
                labels = wanted_labels(chosen, written)
                answer = self.classify(record, candidate_labels=labels, multi_label=True, explain=explain)
                report = self.report(record) if self.report else None
                extractor = self.classify.processor.feature_extractor
                signal, rate, leads, derived = as_recorded(record, extractor)
            except (EcgError, ValueError) as error:
                return f'<div class="error" role="alert">{html.escape(_without_folder(error, folder))}</div>', "", ""
        absent = [lead for lead in STANDARD_LEADS if lead not in leads]
        remarks = [f"Derived from other leads: {', '.join(derived)}."] if derived else []
        remarks += [f"Not recorded, or left out: {', '.join(absent)}."] if absent else []
        measurements = measure(signal[:, : 60 * rate], rate, leads)
        options = {"derived": derived, "measurements": measurements, "explanation": answer.explanation, "title": "ECG"}
        png, pdf = (self._picture(signal, rate, leads, answer, options, kind) for kind in ("png", "pdf"))
        whole = {**answer.to_dict(), "measurements": measurements.text(), "report": report, "notice": NOTICE}
        return _picture_html(png, measurements.text()), _scores_html(answer, remarks), _report_html(report, whole, pdf)

    @staticmethod
    def _picture(signal, rate, leads, answer, options: dict, kind: str) -> bytes:
        file = io.BytesIO()
        draw_ecg(signal, rate, leads, file, answer=answer, format=kind, dpi=110, **options)
        return file.getvalue()


def recording(files: Sequence[str] | None, example: str | None, folder: str) -> Any:
    """
    The uploaded recording, moved into a folder, or an example.

    Raises:
        ValueError: nothing was chosen, or several files that are not one WFDB record.
    """
    if not files:
        if example not in EXAMPLES:
            raise ValueError("Choose a file or an example.")
        rng = np.random.default_rng(3)
        signal = simulate_ecg(sample_parameters(rng, (EXAMPLES[str(example)],)), 10.0, 500, rng=rng).signal
        return {"signal": signal, "sampling_rate": 500, "leads": STANDARD_LEADS, "units": "mV"}
    paths = [Path(folder) / Path(file).name for file in files]
    for file, path in zip(files, paths):
        shutil.move(file, path)
    headers = [path for path in paths if path.suffix.lower() == ".hea"]
    if len(paths) > 1 and len(headers) != 1:
        raise ValueError("Several files must be one WFDB record: one .hea file and its .dat files.")
    return str(headers[0] if headers else paths[0])


def wanted_labels(chosen: Sequence[str], written: str) -> list[str]:
    """Chosen and written labels, each once."""
    labels = list(dict.fromkeys([*chosen, *(label.strip() for label in (written or "").split(",") if label.strip())]))
    if not labels:
        raise ValueError("Choose or write at least one label.")
    if len(labels) > MAX_LABELS:
        raise ValueError(f"{len(labels)} labels were given; at most {MAX_LABELS} are scored.")
    return labels


def _without_folder(message: Any, folder: str) -> str:
    return str(message).replace(f"{folder}{os.sep}", "").replace(folder, "the upload")


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _picture_html(png: bytes, measurements: str) -> str:
    alt = html.escape(f"The ECG on ECG paper. {measurements}")
    return f'<div class="ecg" tabindex="0" aria-label="ECG"><img alt="{alt}" src="{_data("image/png", png)}"></div>'


def _scores_html(answer: Any, remarks: Sequence[str]) -> str:
    extra = [name for name in ("basis", "decision") if any(entry.get(name) is not None for entry in answer)]
    head = "".join(f"<th>{name.capitalize()}</th>" for name in ("label", "score", "", *extra))
    rows = "".join(
        f"<tr><td>{html.escape(entry['label'])}</td><td>{entry['score']:.2f}</td>"
        f'<td><meter min="0" max="1" value="{entry["score"]:.3f}"></meter></td>'
        + "".join(f"<td>{html.escape(str(entry.get(name, '')))}</td>" for name in extra)
        + "</tr>"
        for entry in answer
    )
    notes = [*map(str, answer.quality.get("reasons") or []), *remarks]
    if answer.quality.get("abstained"):
        notes.insert(0, "The model abstains: this recording is unlike those that it has learned from.")
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    quality = f"<h3>Quality</h3><ul>{items}</ul>" if items else "<h3>Quality</h3><p>Nothing to remark.</p>"
    return f'<table class="scores"><tr>{head}</tr>{rows}</table>{quality}{_explanation_html(answer.explanation)}'


def _explanation_html(explanation: dict | None) -> str:
    if not explanation:
        return ""
    leads = sorted(zip(explanation["leads"], explanation["lead_names"]), reverse=True)
    listed = ", ".join(f"{name} {value:+.2f}" for value, name in leads)
    return (
        f"<h3>What the score of {html.escape(explanation['label'])} depends on</h3><p>Contribution of each lead to its "
        f"log-odds ({explanation['log_odds']:+.2f}): {html.escape(listed)}</p><p>{html.escape(CAPTION)}</p>"
    )


def _report_html(report: dict | None, whole: dict, pdf: bytes) -> str:
    text = f"<h3>Drafted report</h3><p>{html.escape(report['report'])}</p>" if report else ""
    content = json.dumps(whole, indent=2, default=float).encode()
    links = "".join(
        f'<a download="{name}" href="{_data(kind, data)}">Download {name.split(".")[1].upper()}</a>'
        for name, kind, data in (("ecg.json", "application/json", content), ("ecg.pdf", "application/pdf", pdf))
    )
    return f'{text}<div class="downloads">{links}</div><p>{NOTICE}</p>'


def build(model: str, report_model: str | None = None) -> gr.Blocks:
    """
    The page.

    Args:
        model: folder, name in hub_cards, or Hub id of a dual encoder.
        report_model: of a model that writes reports.
    """
    reader = Reader(model, report_model)
    # Files that a user uploads and does not have read are deleted after ten minutes.
    with gr.Blocks(title="MERIT: read an ECG", analytics_enabled=False, delete_cache=(60, 600)) as page:
        gr.Markdown(
            f"# Read an ECG with MERIT\n**{NOTICE}** Files are deleted as soon as they have been read; take patients' "
            "names out of file names."
        )
        with gr.Row():
            with gr.Column():
                files = gr.File(
                    label="ECG file (WFDB: both .hea and .dat; CSV, DICOM, XML, SCP, EDF)",
                    file_count="multiple",
                    elem_id="files",
                )
                example = gr.Dropdown(
                    list(EXAMPLES), value=next(iter(EXAMPLES)), label="Or an example", elem_id="example"
                )
            with gr.Column():
                chosen = gr.CheckboxGroup(list(LABELS), value=list(LABELS[:6]), label="Labels", elem_id="labels")
                written = gr.Textbox(label="Other labels, with commas between them", elem_id="written")
                explain = gr.Checkbox(value=True, label="Explain the best label", elem_id="explain")
        button = gr.Button("Read the ECG", variant="primary", elem_id="read")
        picture, scores, report = gr.HTML(elem_id="picture"), gr.HTML(elem_id="scores"), gr.HTML(elem_id="report")
        button.click(
            reader.read,
            [files, example, chosen, written, explain],
            [picture, scores, report],
            concurrency_limit=4,
            api_visibility="private",
        )
        files.change(lambda uploaded: gr.update(interactive=not uploaded), files, example, api_visibility="private")
    return page


def launch(page: gr.Blocks, **options: Any) -> Any:
    """Start the page; options of `gradio.Blocks.launch`."""
    return page.queue(max_size=32).launch(max_file_size=MAX_FILE_SIZE, css=_CSS, **options)


if __name__ == "__main__":  # a Space of the Hub runs this file
    launch(build(os.environ["MERIT_MODEL"], os.environ.get("MERIT_REPORT_MODEL") or None))
