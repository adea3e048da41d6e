"""
A web page that reads an ECG: picture, scores of labels, explanation, report, and downloads.

Nothing is stored: uploaded files stay in memory for `KEPT_SECONDS`, and pictures and downloads are part of the page.
On the Hub, `MERIT_MODEL` and `MERIT_REPORT_MODEL` name the checkpoints.
"""

import base64
import html
import io
import json
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.themes import Default as Theme

from merit import EcgError, checkpoints
from merit.delineation import measure
from merit.plot import as_recorded, draw_ecg
from merit.processing.answers_merit import DISCLAIMER, DoNotRelyWarning, basis_text, cautions, decision_text
from merit.processing.explanation_merit import CAPTION
from merit.processing.leads_merit import STANDARD_LEADS
from merit.training.simulation.heart import simulate_ecg
from merit.training.simulation.parameters import sample_parameters

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
MAX_FILE_SIZE = "20 MB"
MAX_LABELS = 30
KEPT_SECONDS = 600
# How often gradio looks for uploads on the disk, and the age at which it deletes them; memory holds them by then.
_DELETE_CACHE = (1, 5)
# Without `:is(a, b)`: gradio splits selectors at every comma.
_CSS = """
.gradio-container {width: 100%; max-width: 1100px !important; margin: 0 auto !important}
.ecg {overflow-x: auto} .ecg img {min-width: 720px; width: 100%}
#scores .scores {width: 100%; border: 0; border-collapse: collapse}
#scores .scores tr {border: 0; border-bottom: 1px solid var(--border-color-primary)}
#scores .scores th, #scores .scores td {padding: 0.4em 0.6em; text-align: left; border: 0}
.share {display: block; min-width: 6em; height: 0.6em; background: var(--border-color-primary)}
.share span {display: block; height: 100%; background: #33608c}
.downloads a {display: inline-block; margin: 0.5em 1.5em 0.5em 0; text-decoration: underline}
.error, .caution {border-left: 4px solid #b00020; padding: 0.5em 1em; margin: 0.5em 0}
@media (max-width: 600px) {
    /* A row is a block: label and score, then the decision on a line of its own, then what the score rests on. */
    #scores .scores tr:first-child, #scores .scores .bar {display: none}
    #scores .scores tbody {display: block}
    #scores .scores tr {display: grid; grid-template-columns: 1fr auto; padding: 0.3em 0}
    #scores .scores td {padding: 0; line-height: 1.25}
    #scores .scores td:nth-child(n + 4) {grid-column: 1 / -1; font-size: 0.8em}
    #scores .scores td:nth-child(4) {order: 1}
}
"""
# Fonts of the system: the page fetches nothing from elsewhere.
_THEME = Theme(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


class Reader:
    """Answers the page with a dual encoder and, if there is one, a model that writes reports."""

    def __init__(self, model: str, report_model: str | None = None):
        self.classify = checkpoints.load_pipeline(model, checkpoints.DUAL_ENCODER)
        self.report = checkpoints.load_pipeline(report_model, checkpoints.REPORT_MODEL) if report_model else None

    def read(
        self,
        files: Mapping[str, bytes] | None,
        example: str | None,
        chosen: Sequence[str],
        written: str | None,
        explain: bool,
    ) -> tuple[str, str, str]:
        """The HTML of the picture, of the scores, and of the report with the downloads."""
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", UserWarning)
            try:
                record, title = recording(files, example, folder)
                labels = wanted_labels(chosen, written)
                answer = self.classify(
                    record, candidate_labels=labels, multi_label=True, decisions=True, explain=explain
                )
                report = self.report(record) if self.report else None
                signal, rate, leads, derived = as_recorded(record, self.classify.processor.feature_extractor)
            except (EcgError, ValueError) as error:
                return f'<div class="error" role="alert">{_text(error, folder)}</div>', "", ""
        absent = [lead for lead in STANDARD_LEADS if lead not in leads]
        found = cautions(answer, advice=False)
        remarks = [f"Derived from other leads: {', '.join(derived)}."] if derived else []
        remarks += [f"Not recorded, or left out: {', '.join(absent)}."] if absent else []
        # The page shows the reasons against the answer above the scores.
        shown = [one for one in warned if issubclass(one.category, UserWarning)]
        remarks += [str(one.message) for one in shown if not issubclass(one.category, DoNotRelyWarning)]
        measurements = measure(signal[:, : 60 * rate], rate, leads)
        options = {
            "title": title,
            "derived": derived,
            "measurements": measurements,
            "explanation": answer.explanation,
            "dpi": 110,
        }
        png, pdf = io.BytesIO(), io.BytesIO()
        draw_ecg(signal, rate, leads, png, format="png", **options)
        draw_ecg(signal, rate, leads, pdf, answer=answer, format="pdf", **options)
        whole = {**answer.to_dict(), "measurements": measurements.text(), "report": report, "notice": DISCLAIMER}
        return (
            _picture_html(png.getvalue(), title, measurements.text()),
            _quality_html(found, answer.quality["atypicality"], [_text(remark, folder) for remark in remarks])
            + _scores_html(answer)
            + _explanation_html(answer.explanation),
            _report_html(report, whole, pdf.getvalue()),
        )


def recording(files: Mapping[str, bytes] | None, example: str | None, folder: str) -> tuple[Any, str]:
    """
    The uploaded recording, written into a folder, or an example; and its name.

    Raises:
        ValueError: nothing was chosen, or several files that are not one WFDB record.
    """
    if not files:
        if example not in EXAMPLES:
            raise ValueError(
                f"Choose a file or an example. Files are kept for {KEPT_SECONDS // 60} minutes; drop them again then."
            )
        rng = np.random.default_rng(3)
        signal = simulate_ecg(sample_parameters(rng, (EXAMPLES[str(example)],)), 10.0, 500, rng=rng).signal
        return {"signal": signal, "sampling_rate": 500, "leads": STANDARD_LEADS, "units": "mV"}, str(example)
    headers = [name for name in files if name.lower().endswith(".hea")]
    if len(files) > 1 and len(headers) != 1:
        raise ValueError("Several files must be one WFDB record: one .hea file and its .dat files.")
    for name, content in files.items():
        (Path(folder) / name).write_bytes(content)
    name = (headers or list(files))[0]
    return str(Path(folder) / name), name


def wanted_labels(chosen: Sequence[str], written: str | None) -> list[str]:
    """Chosen and written labels, each once."""
    labels = list(dict.fromkeys([*chosen, *(label.strip() for label in (written or "").split(",") if label.strip())]))
    if not labels:
        raise ValueError("Choose or write at least one label.")
    if len(labels) > MAX_LABELS:
        raise ValueError(f"{len(labels)} labels were given; at most {MAX_LABELS} are scored.")
    return labels


def _text(message: Any, folder: str) -> str:
    """A message as HTML, without the folder that the page reads from."""
    return html.escape(str(message).replace(f"{folder}{os.sep}", "").replace(folder, "the upload"))


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _picture_html(png: bytes, title: str, measurements: str) -> str:
    alt = html.escape(f"{title} on ECG paper. {measurements}")
    return (
        f'<div class="ecg" tabindex="0" role="region" aria-label="ECG"><img alt="{alt}" '
        f'src="{_data("image/png", png)}"></div>'
    )


def _quality_html(cautions: Sequence[str], atypicality: float | None, remarks: Sequence[str]) -> str:
    """What is known of the quality of the recording; the remarks are HTML."""
    title = "<h3>Quality</h3>"
    if cautions:
        title += f'<p class="caution" role="alert">Do not rely on the scores: {html.escape("; ".join(cautions))}.</p>'
    else:
        title += "<p>Nothing speaks against trusting the scores.</p>"
    if atypicality is not None:
        title += f"<p>Atypicality {atypicality:.2f}: about 1 for recordings like those that the model learned from.</p>"
    return title + "".join(f"<p>{remark}</p>" for remark in remarks)


def _scores_html(answer: Any) -> str:
    has_decisions = any(map(decision_text, answer))
    head = ["Label", "Score", "", "Basis", *["Decision"] * has_decisions]
    rows = "".join(
        f"<tr><td>{html.escape(entry['label'])}</td><td>{entry['score']:.2f}</td>"
        f'<td class="bar"><span class="share"><span style="width: {100 * entry["score"]:.0f}%"></span></span></td>'
        f"<td>{html.escape(basis_text(entry))}</td>"
        + f"<td>{html.escape(decision_text(entry)) or 'no threshold'}</td>" * has_decisions
        + "</tr>"
        for entry in answer
    )
    columns = "".join(f"<th{'' if name else chr(32) + 'class=bar'}>{name}</th>" for name in head)
    return f'<h3>Scores</h3><table class="scores"><tr>{columns}</tr>{rows}</table>'


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
    return f'{text}<div class="downloads">{links}</div><p>{DISCLAIMER}</p>'


def _contents(uploaded: Any) -> dict[str, bytes] | None:
    """The contents of uploaded files by name, so that nothing needs the files themselves afterwards."""
    paths = [Path(file.path) for file in uploaded] if uploaded else []
    return {path.name: path.read_bytes() for path in paths} or None


def _keep(uploaded: dict[str, bytes] | None) -> tuple:
    """The contents to keep, the example that is no longer offered beside a file, and no answer to an earlier one."""
    return uploaded, gr.update(value=None, visible=not uploaded), "", "", ""


def build(model: str, report_model: str | None = None) -> gr.Blocks:
    """
    The page.

    Args:
        model: folder, name in hub_cards, or Hub id of a dual encoder.
        report_model: of a model that writes reports.
    """
    reader = Reader(model, report_model)
    with gr.Blocks(title="MERIT: read an ECG", analytics_enabled=False, delete_cache=_DELETE_CACHE) as page:
        gr.Markdown(
            f"# Read an ECG with MERIT\n**{DISCLAIMER}**\n\nDrop a file of up to {MAX_FILE_SIZE} (DICOM, XML, SCP-ECG, "
            "EDF, CSV), or the .hea and .dat files of a WFDB record. Nothing is stored: a file is deleted from the "
            f"disk within seconds and from memory within {KEPT_SECONDS // 60} minutes. Take patients' names out of "
            "file names."
        )
        contents = gr.State(time_to_live=KEPT_SECONDS)
        with gr.Row():
            with gr.Column():
                files = gr.File(label="ECG", file_count="multiple", elem_id="files")
                files.preprocess = _contents  # that of gradio leaves an empty file on the disk for each upload
                example = gr.Dropdown(list(EXAMPLES), value=None, label="Or an example", elem_id="example")
            with gr.Column():
                chosen = gr.CheckboxGroup(list(LABELS), value=list(LABELS[:6]), label="Labels", elem_id="labels")
                written = gr.Textbox(label="Other labels, with commas between them", elem_id="written")
                explain = gr.Checkbox(value=True, label="Explain the best label", elem_id="explain")
        button = gr.Button("Read the ECG", variant="primary", elem_id="read")
        picture, scores, report = gr.HTML(elem_id="picture"), gr.HTML(elem_id="scores"), gr.HTML(elem_id="report")
        button.click(
            reader.read,
            [contents, example, chosen, written, explain],
            [picture, scores, report],
            api_visibility="private",
        )
        files.change(
            _keep,
            files,
            [contents, example, picture, scores, report],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
    return page


def launch(page: gr.Blocks, **options: Any) -> Any:
    """Start the page; options of `gradio.Blocks.launch`."""
    return page.queue(max_size=32).launch(
        max_file_size=MAX_FILE_SIZE, css=_CSS, theme=_THEME, run_history=False, footer_links=[], **options
    )


if __name__ == "__main__":  # a Space of the Hub runs this file
    launch(build(os.environ["MERIT_MODEL"], os.environ.get("MERIT_REPORT_MODEL") or None))
