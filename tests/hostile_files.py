"""Small files that try to make a reader use gigabytes, minutes, or other files."""

import base64
import struct
import zlib

from format_files import (
    twelve_leads,
    write_aecg,
    write_bdf,
    write_dicom,
    write_edf,
    write_ishne,
    write_mortara,
    write_muse,
    write_philips,
    write_scp,
)

SIGNAL = twelve_leads(600, 100)
HUGE = 2_000_000_000
_XML = {"muse": write_muse, "philips": write_philips, "aecg": write_aecg, "mortara": write_mortara}
_LAUGHS = "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' for level in range(1, 10))
_ENTITIES = {
    "entity expansion": f'<!DOCTYPE x [<!ENTITY a0 "ha">{_LAUGHS}]>',
    "repeated entity": f'<!DOCTYPE x [<!ENTITY a9 "{"ha" * 2000}">]>',
    "external entity": '<!DOCTYPE x [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>',
    "remote entity": '<!DOCTYPE x [<!ENTITY a9 SYSTEM "http://127.0.0.1:1/x">]>',
    "parameter entity": '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p; <!ENTITY a9 "x">]>',
}


def _text(path):
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin-1"
    return content.decode(encoding), encoding


def _replace(path, *changes):
    text, encoding = _text(path)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text, encoding=encoding)


def _insert(path, start, packed):
    content = bytearray(path.read_bytes())
    content[start : start + len(packed)] = packed
    path.write_bytes(content)


def write_all(folder):
    """Write every hostile file; returns their paths by what they do."""
    files = {}

    def path(name):
        files[name] = folder / f"{name.replace(' ', '-')}.file"
        return files[name]

    for kind, write in _XML.items():
        for attack, declaration in _ENTITIES.items():
            file = path(f"{kind}: {attack}")
            write(file, SIGNAL)
            text, encoding = _text(file)
            start, _, rest = text.partition("?>")
            rest = rest.split(">", 1)[1] if kind == "muse" else rest  # its document type
            end = rest.rindex("</")
            file.write_text(f"{start}?>{declaration}{rest[:end]}<note>&a9;</note>{rest[end:]}", encoding=encoding)
        file = path(f"{kind}: nested elements")
        write(file, SIGNAL)
        text, encoding = _text(file)
        end = text.rindex("</")
        file.write_text(text[:end] + "<a>" * 10_000 + "</a>" * 10_000 + text[end:], encoding=encoding)

    for attack, count in (("channels", f"{HUGE}"), ("hidden channels", f"<![CDATA[{HUGE}]]>")):
        write_philips(path(f"philips: {attack}"), SIGNAL, channels=count)
    write_philips(path("philips: samples"), SIGNAL)
    _replace(files["philips: samples"], ('durationperchannel="1200"', f'durationperchannel="{HUGE}"'))
    write_muse(path("muse: samples"), SIGNAL)
    samples = "<LeadSampleCountTotal>{}</LeadSampleCountTotal>"
    _replace(files["muse: samples"], (samples.format(600), samples.format(HUGE)))
    bomb = _lzw_bomb(30_000)
    write_philips(path("philips: compressed"), SIGNAL, compressed=True)
    text, encoding = _text(files["philips: compressed"])
    start, data = text.split('leadlabels="I II III aVR aVL aVF V1 V2 V3 V4 V5 V6">')
    files["philips: compressed"].write_text(f'{start}leadlabels="I">{bomb}{data[data.index("<") :]}', encoding=encoding)

    write_dicom(path("dicom: samples"), SIGNAL)
    sizes = struct.pack("<I", HUGE)
    content = files["dicom: samples"].read_bytes()
    tag = b"\x3a\x00\x10\x00UL\x04\x00"  # number of waveform samples
    at = content.index(tag) + len(tag)
    files["dicom: samples"].write_bytes(content[:at] + sizes + content[at + 4 :])
    at = content.index(b"\x00\x54\x10\x10OW\x00\x00") + 8  # length of the waveform data
    path("dicom: length").write_bytes(content[:at] + sizes + content[at + 4 :])
    end = content.index(b"\x00\x54\x00\x01SQ")
    meta_end = content.index(b"\x08\x00\x16\x00UI")
    for depth in (400, 20_000):
        sequence = b"\x40\x00\x55\x05SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        path(f"dicom: {depth} sequences").write_bytes(content[:end] + sequence * depth)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    squeezed = squeeze.compress(content[meta_end:end]) + squeeze.compress(bytes(10_000_000)) + squeeze.flush()
    header = content[:meta_end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    header = header.replace(b"UI\x14\x001.2.840.10008.1.2.1.99", b"UI\x16\x001.2.840.10008.1.2.1.99")
    path("dicom: deflated").write_bytes(header + squeezed)

    write_scp(path("scp: samples"), SIGNAL, declared=HUGE)
    write_scp(path("scp: compressed samples"), SIGNAL, declared=HUGE, huffman=True)
    write_scp(path("scp: record"), SIGNAL)
    _insert(files["scp: record"], 2, struct.pack("<I", HUGE))
    for kind, write in (("edf", write_edf), ("bdf", write_bdf)):
        write(path(f"{kind}: records"), SIGNAL, rate=100)
        _insert(files[f"{kind}: records"], 236, b"99999999")
        write(path(f"{kind}: samples"), SIGNAL, rate=100)
        _insert(files[f"{kind}: samples"], 256 + 13 * 216, b"99999999" * 13)
        write(path(f"{kind}: signals"), SIGNAL, rate=100)
        _insert(files[f"{kind}: signals"], 252, b"9999")
    write_ishne(path("ishne: comments"), SIGNAL)
    _insert(files["ishne: comments"], 10, struct.pack("<i", HUGE))

    write_muse(path("muse: truncated base64"), SIGNAL, data=base64.b64encode(SIGNAL[0].astype("<i2")).decode()[:-3])
    for kind, write in (("philips", write_philips), ("mortara", write_mortara)):
        file = path(f"{kind}: truncated base64")
        write(file, SIGNAL)
        data = base64.b64encode(SIGNAL[11].astype("<i2").tobytes()).decode() if kind == "mortara" else ""
        text, _ = _text(file)
        data = data or text.split("<parsedwaveforms")[1].split(">")[1].split("<")[0]
        _replace(file, (data, data[:-3]))
    return files


def _lzw_bomb(size):
    """A lead of 10-bit codes of which nearly all stand for the longest string that the decoder can know."""
    codes = [0, *range(256, 1022)]
    codes += [1021] * (size * 8 // 10 - len(codes) - 1) + [1023]
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return base64.b64encode(struct.pack("<ihh", len(body), 0, 0) + body).decode()
