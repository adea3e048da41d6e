"""Small files of hospital formats for tests, each with a patient's name, identifier and birth date in its fields.

A writer takes a path, digital samples (leads, samples), the microvolts of a step, the sampling rate and lead names.
"""

import base64
import binascii
import datetime
import struct
import zlib
from pathlib import Path

import numpy as np

STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# What identifies the patient in every file, and the forms in which formats write it.
LAST, FIRST, PATIENT, DOCTOR = "Zanzibarova", "Quirina", "PX47110815", "Grimwaldsen"
BIRTH = datetime.date(1931, 7, 23)
IDENTITY = (LAST, FIRST, PATIENT, DOCTOR, "19310723", "1931-07-23", "07-23-1931", "23.07.1931", "23-JUL-1931")


def twelve_leads(samples: int = 2500, rate: int = 500, leads: int = 12, seed: int = 0) -> np.ndarray:
    """Digital samples of a rough ECG: beats on drifting noise, of another height in each lead; III to aVF follow."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / rate
    beat = np.exp(-(((time + 0.1) % 0.8 - 0.4) ** 2) / 2e-4)
    signal = np.rint(rng.uniform(50, 300, (leads, 1)) * beat + rng.normal(0, 3, (leads, samples))).astype(np.int64)
    if leads == 12:
        signal[:2] *= 2  # so that aVR, aVL and aVF are whole numbers
        one, two = signal[:2]
        signal[2:6] = two - one, -(one + two) // 2, one - two // 2, two - one // 2
    return signal


def _base64(values, dtype="<i2"):
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def write_dicom(path, signal, step=5.0, rate=500, leads=STANDARD, median=True, **changes):
    """Two multiplex groups: the rhythm and, after it, a median beat of zeros."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid

    def code(value, scheme, meaning):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return [item]

    def group(values, label):
        item = Dataset()
        item.WaveformOriginality, item.MultiplexGroupLabel = "ORIGINAL", label
        item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = values.shape
        item.SamplingFrequency, item.WaveformBitsAllocated, item.WaveformSampleInterpretation = rate, 16, "SS"
        item.ChannelDefinitionSequence = []
        for lead in leads:
            channel = Dataset()
            channel.ChannelSourceSequence = code(f"LEAD {lead}", "99TEST", f"Lead {lead}")
            channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = step, 1
            channel.ChannelBaseline, channel.WaveformBitsStored = 0, 16
            channel.ChannelSensitivityUnitsSequence = code("uV", "UCUM", "microvolt")
            item.ChannelDefinitionSequence.append(channel)
        item.WaveformData = np.ascontiguousarray(values.T, "<i2").tobytes()
        return item

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = TwelveLeadECGWaveformStorage, generate_uid()
    meta.TransferSyntaxUID = changes.pop("transfer_syntax", ExplicitVRLittleEndian)
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID = f"{LAST}^{FIRST}", PATIENT
    dataset.PatientBirthDate, dataset.PatientSex = BIRTH.strftime("%Y%m%d"), "F"
    dataset.ReferringPhysicianName, dataset.Modality = DOCTOR, "ECG"
    dataset.WaveformSequence = [group(signal, "RHYTHM")] + [group(signal[:, :300] * 0, "MEDIAN BEAT")] * median
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


def write_muse(path, signal, step=4.88, rate=500, leads=STANDARD, data=None):
    def lead_data(lead, values):
        payload = np.ascontiguousarray(values, "<i2").tobytes()
        return (
            f"<LeadData><LeadByteCountTotal>{len(payload)}</LeadByteCountTotal>"
            f"<LeadSampleCountTotal>{len(values)}</LeadSampleCountTotal>"
            f"<LeadAmplitudeUnitsPerBit>{step}</LeadAmplitudeUnitsPerBit>"
            f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead}</LeadID>"
            f"<LeadDataCRC32>{zlib.crc32(payload)}</LeadDataCRC32><LeadSampleSize>2</LeadSampleSize>"
            f"<WaveFormData>{data or base64.b64encode(payload).decode()}</WaveFormData></LeadData>"
        )

    def waveform(kind, values):
        return (
            f"<Waveform><WaveformType>{kind}</WaveformType><SampleBase>{rate}</SampleBase>"
            f"<SampleExponent>0</SampleExponent>{''.join(map(lead_data, leads, values))}</Waveform>"
        )

    Path(path).write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n<RestingECG>'
        f"<PatientDemographics><PatientID>{PATIENT}</PatientID><DateofBirth>{BIRTH:%m-%d-%Y}</DateofBirth>"
        f"<PatientLastName>{LAST}</PatientLastName><PatientFirstName>{FIRST}</PatientFirstName></PatientDemographics>"
        f"<TestDemographics><ReferringMDLastName>{DOCTOR}</ReferringMDLastName></TestDemographics>"
        f"{waveform('Median', signal[:, :300] * 0)}{waveform('Rhythm', signal)}</RestingECG>",
        encoding="latin-1",
    )


def _literal_lzw(payload):
    """An LZW stream of 10-bit codes that never refers to earlier strings."""
    bits = "".join(f"{byte:010b}" for byte in payload) + f"{1023:010b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _xli(signal):
    """The compression of Philips: for each lead, second differences in an LZW stream."""
    chunks = []
    for values in signal:
        change = 2 * values[1:-1] - values[:-2] - values[2:]
        deltas = [*values[:2], *(change[1:] + 64), 64]
        words = np.array(deltas, ">i2").view(np.uint8).reshape(-1, 2)
        body = _literal_lzw(words[:, 0].tobytes() + words[:, 1].tobytes())
        chunks.append(struct.pack("<ihh", len(body), 0, change[0]) + body)
    return b"".join(chunks)


def write_philips(path, signal, step=5.0, rate=500, leads=STANDARD, version="1.04", compressed=False, channels=None):
    stored = signal.copy()
    if compressed:  # leads III to aVF are stored as what the first two leads do not predict
        one, two, three = stored[0], stored[1], signal[2].copy()
        stored[2] = two - one - three
        stored[3] = -stored[3] - (one + two) // 2
        stored[4] = (one - three) // 2 - stored[4]
        stored[5] = (two + three) // 2 - stored[5]
    data = base64.b64encode(_xli(stored)).decode() if compressed else _base64(signal)
    text = (
        '<?xml version="1.0" encoding="UTF-16"?>\n<restingecgdata xmlns="http://www3.medical.philips.com">'
        f"<documentinfo><documenttype>{'SierraECG' if version == '1.03' else 'PhilipsECG'}</documenttype>"
        f"<documentversion>{version}</documentversion></documentinfo>"
        f"<patient><generalpatientdata><name><lastname>{LAST}</lastname><firstname>{FIRST}</firstname></name>"
        f"<MRN>{PATIENT}</MRN><patientid>{PATIENT}</patientid><age><dateofbirth>{BIRTH}</dateofbirth></age>"
        "</generalpatientdata></patient><dataacquisition><signalcharacteristics>"
        f"<samplingrate>{rate}</samplingrate><resolution>{step}</resolution><signalsigned>true</signalsigned>"
        f"<numberchannelsallocated>{channels or len(leads)}</numberchannelsallocated>"
        f"<acquisitiontype>STD-12</acquisitiontype></signalcharacteristics></dataacquisition><waveforms>"
        f'<parsedwaveforms dataencoding="Base64" compressflag="{compressed}" '
        f"{'compression=' + chr(34) + 'XLI' + chr(34) if compressed else ''} "
        f'durationperchannel="{signal.shape[1] * 1000 // rate}" samplespersecond="{rate}" resolution="{step}" '
        f"{'' if channels else 'leadlabels=' + chr(34) + ' '.join(leads) + chr(34)}>{data}</parsedwaveforms>"
        "</waveforms></restingecgdata>"
    )
    text = text if version != "1.03" else text.replace("UTF-16", "UTF-8")
    Path(path).write_text(text, encoding="utf-8" if version == "1.03" else "utf-16")


def write_aecg(path, signal, step=5.0, rate=500, leads=STANDARD, head="", root=""):
    def series(code, values):
        sequences = "".join(
            f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}"/><value xsi:type="SLIST_PQ">'
            f'<origin value="0" unit="uV"/><scale value="{step}" unit="uV"/><digits>{" ".join(map(str, row))}</digits>'
            "</value></sequence></component>"
            for lead, row in zip(leads, values)
        )
        return (
            f'<component><series><code code="{code}"/><component><sequenceSet><component><sequence>'
            '<code code="TIME_RELATIVE"/><value xsi:type="GLIST_PQ"><head value="0" unit="s"/>'
            f'<increment value="{1 / rate!r}" unit="s"/></value></sequence></component>{sequences}'
            "</sequenceSet></component></series></component>"
        )

    subject = (
        "<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>"
        f'<id root="1.2.3" extension="{PATIENT}"/><subjectDemographicPerson><name><family>{LAST}</family>'
        f'<given>{FIRST}</given></name><birthTime value="{BIRTH:%Y%m%d}"/></subjectDemographicPerson>'
        "</trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>"
    )
    Path(path).write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<AnnotatedECG xmlns="urn:hl7-org:v3" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{root}{subject}'
        f"{series('REPRESENTATIVE_BEAT', signal[:, :300] * 0)}{series('RHYTHM', signal)}</AnnotatedECG>"
    )


_SCP_LEADS = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64, "V3R": 11, "V7": 9}
_SCP_LEADS |= {f"V{number}": 2 + number for number in range(1, 7)}


def write_scp(path, signal, step=5.0, rate=500, leads=STANDARD, first=1, declared=None, huffman=False):
    """Sections 0 (pointers), 1 (patient), 3 (leads) and 6 (rhythm, in 16 bits), with `huffman` as if compressed."""

    def crc(content):
        return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content

    def section(number, body):
        body += b"\0" * (len(body) % 2)
        return crc(struct.pack("<HIBB6x", number, 16 + len(body), 20, 20) + body)

    def tag(number, value):
        return struct.pack("<BH", number, len(value)) + value

    texts = ((0, LAST), (1, FIRST), (2, PATIENT), (20, DOCTOR))
    patient = b"".join(tag(number, text.encode() + b"\0") for number, text in texts)
    patient += tag(5, struct.pack("<HBB", BIRTH.year, BIRTH.month, BIRTH.day)) + struct.pack("<BH", 255, 0)
    length = declared or signal.shape[1]
    names = b"".join(struct.pack("<IIB", first, first + length - 1, _SCP_LEADS[lead]) for lead in leads)
    rhythm = struct.pack("<HHBB", round(step * 1000), round(1e6 / rate), 0, 0)
    rhythm += struct.pack(f"<{len(leads)}H", *[2 * signal.shape[1]] * len(leads)) + signal.astype("<i2").tobytes()
    bodies = {1: patient, 3: struct.pack("<BB", len(leads), 4 | len(leads) << 3 & 0xFF) + names, 6: rhythm}
    bodies |= {2: struct.pack("<H", 19999)} if huffman else {}
    sections = {number: section(number, body) for number, body in bodies.items()}
    pointers, position = struct.pack("<HII", 0, 16 + 10 * (len(bodies) + 1), 7), 7 + 16 + 10 * (len(bodies) + 1)
    for number, content in sections.items():
        pointers += struct.pack("<HII", number, len(content), position)
        position += len(content)
    content = section(0, pointers) + b"".join(sections.values())
    Path(path).write_bytes(crc(struct.pack("<I", 6 + len(content)) + content))


def write_edf(path, signal, step=5.0, rate=500, leads=STANDARD, kind="Edf", extra=()):
    """EDF+ or, with `kind="Bdf"`, BDF+; `extra` holds more signals of edfio."""
    import edfio

    limit = 32767 if kind == "Edf" else 1_000_000  # the header has eight characters for microvolts
    make = getattr(edfio, f"{kind}Signal").from_digital
    signals = [
        make(
            row.astype(np.int16 if kind == "Edf" else np.int32),
            rate,
            label=f"ECG {lead}",
            physical_dimension="uV",
            physical_range=(-limit * step, limit * step),
            digital_range=(-limit, limit),
        )
        for lead, row in zip(leads, signal)
    ]
    patient = edfio.Patient(code=PATIENT, sex="F", birthdate=BIRTH, name=f"{LAST}_{FIRST}")
    recording = edfio.Recording(hospital_administration_code=PATIENT, investigator_technician_code=DOCTOR)
    notes = [edfio.EdfAnnotation(0, None, f"{FIRST} {LAST}, {DOCTOR}")]
    file = getattr(edfio, kind)(
        [*signals, *extra], patient=patient, recording=recording, data_record_duration=1, annotations=notes
    )
    file.write(path)


def write_bdf(path, signal, **arguments):
    write_edf(path, signal, kind="Bdf", **arguments)


_ISHNE_LEADS = {lead: 5 + number for number, lead in enumerate(STANDARD)}


def write_ishne(path, signal, step=5.0, rate=500, leads=STANDARD):
    def numbers(*values):
        return struct.pack(f"<{len(values)}h", *values)

    def padded(values):
        return numbers(*[*values, *[-9] * (12 - len(leads))])

    header = struct.pack("<iiiih", 0, signal.shape[1], 522, 522, 1)
    for text, size in ((FIRST, 40), (LAST, 40), (PATIENT, 20)):
        header += text.encode().ljust(size, b"\0")
    header += numbers(2, 0, BIRTH.day, BIRTH.month, BIRTH.year, 1, 2, 2020, 1, 2, 2020, 10, 0, 0, len(leads))
    header += padded(_ISHNE_LEADS.get(lead, 0) for lead in leads) + padded([1] * len(leads))
    header += padded([round(step * 1000)] * len(leads)) + numbers(0) + b"digital".ljust(40, b"\0") + numbers(rate)
    header = header.ljust(512, b"\0")
    checksum = struct.pack("<H", binascii.crc_hqx(header, 0xFFFF))
    Path(path).write_bytes(b"ISHNE1.0" + checksum + header + signal.T.astype("<i2").tobytes())


def write_mortara(path, signal, step=5.0, rate=500, leads=STANDARD):
    channels = "".join(
        f'<CHANNEL OFFSET="0" BITS="16" FORMAT="SIGNED" UNITS_PER_MV="{1000 / step:g}" DURATION="{signal.shape[1]}" '
        f'SAMPLE_FREQ="{rate}" NAME="{lead}" ENCODING="BASE64" DATA="{_base64(row)}"/>'
        for lead, row in zip(leads, signal)
    )
    Path(path).write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><ECG ACQUISITION_TIME="20200102100000" TECHNICIAN="{DOCTOR}">'
        f'<SUBJECT LAST_NAME="{LAST}" FIRST_NAME="{FIRST}" ID="{PATIENT}" DOB="{BIRTH:%Y%m%d}" DOB_XML="{BIRTH}"/>'
        f"{channels}</ECG>"
    )


# The writer of each format and the suffix that it usually has.
WRITERS = {
    "DICOM": (write_dicom, "dcm"),
    "GE MUSE XML": (write_muse, "xml"),
    "Philips Sierra XML": (write_philips, "xml"),
    "HL7 aECG": (write_aecg, "xml"),
    "SCP-ECG": (write_scp, "scp"),
    "EDF": (write_edf, "edf"),
    "BDF": (write_bdf, "bdf"),
    "ISHNE": (write_ishne, "ecg"),
    "Mortara XML": (write_mortara, "xml"),
}
