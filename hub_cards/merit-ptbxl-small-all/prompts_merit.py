"""What reports say for a label: a finding, the names that people type for it, and its phrasings in reports.

The text encoder has read short reports, most of them German, some English, and knows a finding by their words: "qrs(t)
abnorm inferiorer infarkt alter unbest." rather than "IMI". A label is therefore looked up by `find` and said by
`prompts` in several ways, in both languages:

    >>> prompts("RBBB")[0]
    'right bundle branch block.'
    >>> find("Vorhofflimmern").code
    'AFIB'

Findings are the 71 statements of PTB-XL, its 23 subclasses and 5 superclasses, and what CPSC2018,
Chapman-Shaoxing-Ningbo and the PhysioNet/CinC Challenge name beyond them. Three rules settle what a name stands for:

- a code that is both a statement and a class of PTB-XL (IMI, AMI, STTC, LVH, ...) is one finding with the phrasings of
  both;
- a class adds the phrasings of its members to its own. Its members are the statements that at least one in 25 of its
  training records carry, as a mean over phrasings would let many rare ones outweigh the frequent; pure subclasses
  (_AVB, ISCA, ISCI, LAFB/LPFB) have all. Subendocardial injury is no member of the infarctions, since the reports
  call it ischaemia;
- an unqualified name is what clinicians mean by it: "LBBB" is complete, "AF" is fibrillation, "AMI" is anterior as in
  PTB-XL. Where a data set uses such a name otherwise, `CPSC2018_LABELS`, `CSN_LABELS` and `CHALLENGE_LABELS` say so.
"""

import re
from dataclasses import dataclass, replace

__all__ = ["CHALLENGE_LABELS", "CPSC2018_LABELS", "CSN_LABELS", "FINDINGS", "Finding", "find", "opposites", "prompts"]


@dataclass(frozen=True)
class Finding:
    """A finding and the ways to say it.

    Attributes:
        code: its code in PTB-XL, else in another data set.
        name: its name in plain clinical English.
        names: what else it is called: abbreviations, synonyms, German names.
        english: phrasings of English reports.
        german: phrasings of German reports.
        members: codes of the findings whose phrasings it shares; in `FINDINGS` these are already part of `english` and
            `german`.
    """

    code: str
    name: str
    names: tuple[str, ...] = ()
    english: tuple[str, ...] = ()
    german: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


# Members stand before the classes that use them.
_NORMAL_AND_GENERAL = (
    Finding(
        "NORM",
        "normal ECG",
        names=(
            "normal",
            "normal electrocardiogram",
            "healthy",
            "within normal limits",
            "no abnormality",
            "normales EKG",
            "Normalbefund",
            "unauffälliges EKG",
            "unauffällig",
        ),
        english=("normal ecg.", "sinus rhythm. normal ecg.", "sinus rhythm. tracing is normal.", "normal tracing."),
        german=(
            "normales ekg",
            "sinusrhythmus normales ekg",
            "lagetyp normal normales ekg",
            "sinusrhythmus lagetyp normal normales ekg",
        ),
    ),
    Finding(
        "ABNORM",
        "abnormal ECG",
        names=("abnormal", "pathological", "pathologic", "pathologisches EKG", "pathologisch", "auffälliges EKG"),
        english=("abnormal ecg.", "abnormal tracing.", "suggest cardiological review."),
        german=("pathologisches ekg", "path. ekg", "abnormes ekg", "ekg pathologisch"),
    ),
)

_INFARCTION = (
    Finding(
        "ILMI",
        "inferolateral myocardial infarction",
        names=("inferolateral MI", "inferolateral infarction", "inferolateral infarct", "inferolateraler Infarkt"),
        english=(
            "old inferolateral myocardial infarction.",
            "q waves consistent with old inferolateral myocardial infarction.",
            "q waves in ii, iii, avf, v5,6. inferolateral infarct.",
            "possible old inferolateral infarct.",
        ),
        german=(
            "qrs(t) abnorm inferolateraler infarkt alter unbest.",
            "qrs(t) abnorm lateraler infarkt möglich inferiorer infarkt wahrscheinlich alt",
            "qrs(t) abnorm lateraler infarkt alter unbest. inferiorer infarkt",
            "inferiorer und lateraler infarkt",
        ),
    ),
    Finding(
        "IMI",
        "inferior myocardial infarction",
        names=(
            "inferior MI",
            "inferior infarction",
            "inferior infarct",
            "inferior wall infarction",
            "inferior wall myocardial infarction",
            "old inferior infarct",
            "old inferior myocardial infarction",
            "IWMI",
            "inferiorer Infarkt",
            "inferiorer Myokardinfarkt",
            "Hinterwandinfarkt",
        ),
        english=(
            "q waves in ii, iii, avf consistent with old inferior myocardial infarction.",
            "old inferior myocardial infarction.",
            "possible old inferior infarct.",
            "q waves in ii, iii, avf suggesting old inferior infarct.",
            "consistent with ischaemic heart disease with old inferior myocardial infarction.",
        ),
        german=(
            "qrs(t) abnorm inferiorer infarkt wahrscheinlich alt",
            "qrs(t) abnorm inferiorer infarkt alter unbest.",
            "lagetyp normal qrs(t) abnorm inferiorer infarkt",
            "inferiorer infarkt möglich",
            "qrs(t) abnorm inferiorer myokardschaden möglich",
        ),
        members=("ILMI",),
    ),
    Finding(
        "IPMI",
        "inferoposterior myocardial infarction",
        names=(
            "inferoposterior MI",
            "inferoposterior infarction",
            "inferoposterior infarct",
            "inferoposteriorer Infarkt",
        ),
        english=(
            "old infero-posterior infarct.",
            "probable infero-posterior infarct.",
            "old infero-posterior myocardial infarction.",
        ),
        german=(
            "chron. infero-posteriorer infarkt",
            "inferiorer-posteriorer infarkt",
            "qrs(t) abnorm infero-posteriorer infarkt alter unbest.",
        ),
    ),
    Finding(
        "IPLMI",
        "inferoposterolateral myocardial infarction",
        names=(
            "inferoposterolateral MI",
            "inferoposterolateral infarction",
            "inferoposterolateral infarct",
            "inferoposterolateraler Infarkt",
        ),
        english=(
            "old inferior, posterior and lateral myocardial infarction.",
            "infero-posterior and lateral infarct.",
            "possible old infero-posterior and lateral infarct.",
        ),
        german=(
            "infero-posteriorer infarkt lateraler infarkt",
            "qrs(t) abnorm inferiorer, posteriorer und lateraler infarkt",
            "lateraler infarkt wahrscheinlich alt inferiorer-posteriorer infarkt",
        ),
    ),
    Finding(
        "PMI",
        "posterior myocardial infarction",
        names=(
            "posterior MI",
            "posterior infarction",
            "posterior infarct",
            "posterior wall infarction",
            "posteriorer Infarkt",
            "posteriorer Myokardinfarkt",
        ),
        english=(
            "old posterior myocardial infarction.",
            "possible old posterior infarct.",
            "tall r waves in v1,2 suggesting old posterior infarct.",
        ),
        german=("posteriorer infarkt möglich", "qrs(t) abnorm posteriorer infarkt alter unbest.", "infarkt posterior"),
    ),
    Finding(
        "LMI",
        "lateral myocardial infarction",
        names=(
            "lateral MI",
            "lateral infarction",
            "lateral infarct",
            "high lateral infarction",
            "lateral wall infarction",
            "lateraler Infarkt",
            "hochlateraler Infarkt",
            "Seitenwandinfarkt",
        ),
        english=(
            "old lateral infarct.",
            "q waves in i, avl suggesting old lateral infarct.",
            "old lateral myocardial infarction.",
            "q waves in i, avl consistent with old lateral myocardial infarction.",
        ),
        german=(
            "qrs(t) abnormal hochlateraler infarkt möglich",
            "hochlateraler infarkt nicht auszuschliessen",
            "qrs(t) abnorm hochlateraler infarkt",
            "lateraler infarkt wahrscheinlich alt",
        ),
    ),
    Finding(
        "ASMI",
        "anteroseptal myocardial infarction",
        names=(
            "anteroseptal MI",
            "anteroseptal infarction",
            "anteroseptal infarct",
            "old anteroseptal infarct",
            "septal infarction",
            "septal infarct",
            "septal MI",
            "anteroseptaler Infarkt",
            "Septuminfarkt",
        ),
        english=(
            "qs complexes in v2,3 consistent with old anteroseptal myocardial infarction.",
            "old anteroseptal myocardial infarction.",
            "tiny r waves in v2,3 suggesting old anteroseptal infarct.",
            "qs complexes in v2 and tiny r waves in v3.",
            "poor progression of r waves in anterior chest leads.",
        ),
        german=(
            "qrs(t) abnorm anteroseptaler infarkt alter unbest.",
            "qrs(t) abnorm anteroseptaler infarkt wahrscheinlich alt",
            "qrs(t) abnorm anteriorer infarkt alter unbest.",
            "lagetyp normal qrs(t) abnorm anteroseptaler infarkt",
            "anteroseptaler infarkt möglich",
        ),
    ),
    Finding(
        "ALMI",
        "anterolateral myocardial infarction",
        names=("anterolateral MI", "anterolateral infarction", "anterolateral infarct", "anterolateraler Infarkt"),
        english=(
            "consistent with anterior and lateral myocardial infarction.",
            "extensive anterior and lateral infarct.",
            "old anterolateral myocardial infarction.",
            "q waves in i, avl, v2-6 consistent with anterolateral infarct.",
        ),
        german=(
            "qrs(t) abnorm anterolateraler infarkt alter unbest.",
            "qrs(t) abnorm anterolateraler infarkt möglich",
            "qrs(t) abnorm anteriorer infarkt lateraler infarkt alter unbest.",
            "anteriorer infarkt lateraler infarkt wahrscheinlich alt",
        ),
    ),
    Finding(
        "AMI",
        "anterior myocardial infarction",
        names=(
            "anterior MI",
            "anterior infarction",
            "anterior infarct",
            "anterior wall infarction",
            "anterior wall myocardial infarction",
            "old anterior infarct",
            "old anterior myocardial infarction",
            "AWMI",
            "anteriorer Infarkt",
            "anteriorer Myokardinfarkt",
            "Vorderwandinfarkt",
        ),
        english=(
            "qs complexes in v2,3,4 consistent with old anterior myocardial infarction.",
            "old anterior myocardial infarction.",
            "q waves in v2 suggesting old anterior infarct.",
            "possible old anterior infarct.",
        ),
        german=(
            "qrs(t) abnorm anteroseptaler myokardschaden nicht auszuschliessen",
            "qrs(t) abnorm anteriorer infarkt wahrscheinlich alt",
            "septaler infarkt nicht auszuschliessen",
            "anteriorer infarkt möglich",
        ),
        members=("ASMI", "ALMI"),
    ),
    Finding(
        "MI",
        "myocardial infarction",
        names=(
            "infarction",
            "infarct",
            "heart attack",
            "old myocardial infarction",
            "previous myocardial infarction",
            "prior myocardial infarction",
            "old MI",
            "prior MI",
            "Myokardinfarkt",
            "Herzinfarkt",
            "Infarkt",
        ),
        english=(
            "old myocardial infarction.",
            "consistent with old myocardial infarction.",
            "ischaemic heart disease with old myocardial infarction.",
        ),
        german=(
            "qrs(t) abnorm infarkt wahrscheinlich alt",
            "qrs(t) abnorm infarkt alter unbest.",
            "qrs(t) abnorm infarkt möglich",
        ),
        members=("IMI", "ASMI", "ILMI", "AMI", "ALMI"),
    ),
    Finding(
        "STEMI",
        "acute myocardial infarction",
        names=(
            "acute MI",
            "acute infarction",
            "ST elevation myocardial infarction",
            "ST elevation infarction",
            "akuter Myokardinfarkt",
            "akuter Infarkt",
            "akuter Herzinfarkt",
            "recent myocardial infarction",
            "ST-Hebungsinfarkt",
        ),
        english=(
            "acute myocardial infarction.",
            "st segments are elevated consistent with acute myocardial infarction.",
            "myocardial infarction which appears recent.",
        ),
        german=(
            "qrs(t) abnorm anteroseptaler infarkt mögl. akut",
            "qrs(t) abnorm inferiorer infarkt mögl. akut",
            "qrs(t) abnorm anteriorer infarkt mögl. akut",
        ),
    ),
    Finding(
        "INJAS",
        "subendocardial injury in anteroseptal leads",
        names=("anteroseptal subendocardial injury", "anteroseptaler Innenschichtschaden"),
        english=(
            "anterior subendocardial infarction of uncertain age.",
            "myocardial ischaemia or anteroseptal subendocardial infarction.",
            "t waves are inverted in v2,3. anteroseptal subendocardial injury.",
        ),
        german=(
            "st & t abnorm, möglicherweise anteriorer innenschichtsschaden",
            "möglicherweise anteroseptaler innenschichtsschaden",
            "t abnorm anteroseptaler innenschichtsschaden",
        ),
    ),
    Finding(
        "INJAL",
        "subendocardial injury in anterolateral leads",
        names=("anterolateral subendocardial injury", "anterolateraler Innenschichtschaden"),
        english=(
            "anterolateral subendocardial infarction of uncertain age.",
            "myocardial ischaemia or anterolateral subendocardial infarction.",
            "t waves are inverted in i, avl, v2-6. anterolateral subendocardial injury.",
        ),
        german=(
            "st & t abnorm, möglicherweise anterolateraler innenschichtsschaden",
            "möglicherweise anterolateraler innenschichtsschaden",
            "t abnorm anterolateraler innenschichtsschaden",
        ),
    ),
    Finding(
        "INJLA",
        "subendocardial injury in lateral leads",
        names=("lateral subendocardial injury", "lateraler Innenschichtschaden"),
        english=(
            "lateral subendocardial infarction of uncertain age.",
            "myocardial ischaemia or lateral subendocardial infarction.",
            "t waves are inverted in i, avl, v5,6. lateral subendocardial injury.",
        ),
        german=(
            "st & t abnorm, möglicherweise hochlateraler innenschichtsschaden",
            "möglicherweise lateraler innenschichtsschaden",
            "t abnorm lateraler innenschichtsschaden",
        ),
    ),
    Finding(
        "INJIN",
        "subendocardial injury in inferior leads",
        names=("inferior subendocardial injury", "inferiorer Innenschichtschaden"),
        english=(
            "inferior subendocardial infarction of uncertain age.",
            "myocardial ischaemia or inferior subendocardial infarction.",
            "t waves are inverted in ii, iii, avf. inferior subendocardial injury.",
        ),
        german=(
            "st & t abnorm, möglicherweise inferiorer innenschichtsschaden",
            "möglicherweise inferiorer innenschichtsschaden",
            "t neg. in ii, iii, avf inferiorer innenschichtsschaden",
        ),
    ),
    Finding(
        "INJIL",
        "subendocardial injury in inferolateral leads",
        names=("inferolateral subendocardial injury", "inferolateraler Innenschichtschaden"),
        english=(
            "inferolateral subendocardial infarction of uncertain age.",
            "myocardial ischaemia or inferolateral subendocardial infarction.",
            "t waves are inverted in ii, iii, avf, v5,6. inferolateral subendocardial injury.",
        ),
        german=(
            "st & t abnorm, möglicherweise inferolateraler innenschichtsschaden",
            "möglicherweise inferolateraler innenschichtsschaden",
            "lateraler und inferiorer innenschichtsschaden",
        ),
    ),
)

_ST_AND_T = (
    Finding(
        "NDT",
        "non-diagnostic T abnormalities",
        names=("nondiagnostic T abnormality", "non-diagnostic T wave abnormality", "unspezifisch abnormes T"),
        english=(
            "non-specific t abnormality.",
            "non-specific t wave flattening. myocardial ischaemia is a possible cause.",
            "t waves are low or flat, non-specific.",
            "sinus rhythm. non-specific t wave abnormality.",
        ),
        german=(
            "unspezifisches abnormes t",
            "lagetyp normal unspezifisches abnormes t",
            "unspezifisches abnormales t",
            "sinusrhythmus unspezifisches abnormes t",
        ),
    ),
    Finding(
        "NST_",
        "non-specific ST changes",
        names=(
            "non-specific ST-T changes",
            "non-specific ST-T wave changes",
            "unspezifische ST-Veränderungen",
            "unspezifische ST-T-Veränderungen",
        ),
        english=(
            "non-specific st-t wave changes.",
            "minor non-specific st-t wave changes.",
            "sinus rhythm. non-specific st-t wave changes.",
            "widespread non-specific st-t changes.",
        ),
        german=(
            "unspezifische abnormale st-senkung",
            "unspezifisch abnormes st-t",
            "st & t abnorm, unspezifisch",
            "unspezifische abnormale st-senkung unspezifisches abnormales t",
        ),
    ),
    Finding(
        "DIG",
        "digitalis effect",
        names=("digitalis", "digoxin effect", "suggests digitalis effect", "Digitaliseffekt", "Digitaliswirkung"),
        english=(
            "digitalis effect.",
            "findings are due to ischaemic heart disease and digitalis effect.",
            "st segments are depressed. digitalis effect.",
            "myocardial ischaemia and digitalis effect. suggest exclude hypokalaemia.",
        ),
        german=("digitalisveränderung", "digitalisveraenderung", "st-senkung fragl. digitalis"),
    ),
    Finding(
        "LNGQT",
        "long QT interval",
        names=(
            "long QT",
            "prolonged QT",
            "prolonged QT interval",
            "prolonged QTc",
            "prolonged QTc interval",
            "QT prolongation",
            "LQT",
            "QT-Verlängerung",
            "verlängerte QT-Zeit",
            "langes QT",
        ),
        english=("prolonged qt.", "sinus rhythm. prolonged qt interval.", "slightly prolonged qt."),
        german=("qt-verlängerung", "lagetyp normal qt-verlängerung", "sinusrhythmus qt-verlängerung", "qt verlängert"),
    ),
    Finding(
        "EL",
        "electrolytic disturbance or drug effect",
        names=(
            "electrolytic disturbance or drug (former EDIS)",
            "compatible with electrolyte abnormalities",
            "electrolyte disturbance",
            "electrolyte abnormality",
            "drug effect",
            "Elektrolytstörung",
        ),
        english=(
            "this may be due to a drug effect or an electrolyte disturbance.",
            "prolonged qt due to a drug effect or an electrolyte disturbance.",
            "drug effect or electrolyte disturbance.",
        ),
        german=("elektrolytstörung", "t-veränderung elektrolytstörung fraglich", "qt-verlängerung elektrolytstörung"),
    ),
    Finding(
        "ANEUR",
        "ST-T changes compatible with ventricular aneurysm",
        names=("ventricular aneurysm", "aneurysm", "Ventrikelaneurysma", "Aneurysma", "Herzwandaneurysma"),
        english=(
            "persistent st segment elevation may indicate a ventricular aneurysm.",
            "a ventricular aneurysm may be present.",
            "infarct is old. possible ventricular aneurysm.",
        ),
        german=("st-hebung in v1-3 (dd: aneurysma)", "verdacht auf aneurysma", "vd. auf vw-aneurysma"),
    ),
    Finding(
        "ISC_",
        "ischemic ST-T changes",
        names=("non-specific ischemic", "ischemia", "myocardial ischemia", "ischemic", "Ischämie", "Myokardischämie"),
        english=(
            "this may be due to lv strain or ischaemia.",
            "st segments are depressed and t waves inverted. myocardial ischaemia.",
            "non-specific but consistent with myocardial ischaemia.",
            "findings are likely to be due to ischaemic heart disease.",
        ),
        german=(
            "st & t abnorm, wahrscheinlich ischämie oder linksbelastung",
            "st & t abnormal, wahrscheinlich ischämie oder linksbelastung",
            "st & t abnorm, ischämie",
            "st-senkung wahrscheinlich ischämie",
        ),
    ),
    Finding(
        "ISCAL",
        "ischemia in anterolateral leads",
        names=("ischemic in anterolateral leads", "anterolateral ischemia", "anterolaterale Ischämie"),
        english=(
            "t waves are inverted in i, avl, v2-6. anterolateral myocardial ischaemia.",
            "consistent with anterolateral myocardial ischaemia.",
            "st & t abnormality, consider anterolateral ischemia.",
        ),
        german=(
            "st & t abnorm, wahrscheinlich anterolaterale ischämie oder linksbelastung",
            "wahrscheinlich anterolaterale ischämie",
            "t abnorm in anterolateralen ableitungen",
            "st & t abnormal, wahrscheinlich anterolaterale ischämie oder linksbelastung",
        ),
    ),
    Finding(
        "ISCAS",
        "ischemia in anteroseptal leads",
        names=("ischemic in anteroseptal leads", "anteroseptal ischemia", "anteroseptale Ischämie"),
        english=(
            "t waves are inverted in v2,3. anteroseptal myocardial ischaemia.",
            "consistent with anteroseptal myocardial ischaemia.",
            "anteroseptal ischaemia is likely.",
        ),
        german=(
            "st & t abnorm, wahrscheinlich anteroseptale ischämie",
            "st & t abnorm, wahrscheinlich anteriore ischämie oder linksbelastung",
            "t abnorm in anteroseptalen ableitungen",
        ),
    ),
    Finding(
        "ISCAN",
        "ischemia in anterior leads",
        names=("ischemic in anterior leads", "anterior ischemia", "anteriore Ischämie"),
        english=(
            "t waves are inverted in v2,3,4. anterior myocardial ischaemia.",
            "consistent with anterior myocardial ischaemia.",
            "anterior ischaemia is likely.",
        ),
        german=("t abnorm in anterioren ableitungen", "wahrscheinlich anteriore ischämie", "anteriore ischämie"),
    ),
    Finding(
        "ISCLA",
        "ischemia in lateral leads",
        names=("ischemic in lateral leads", "lateral ischemia", "laterale Ischämie"),
        english=(
            "t waves are inverted in v5,6. lateral myocardial ischaemia.",
            "consistent with lateral myocardial ischaemia.",
            "lateral ischaemia is likely.",
        ),
        german=(
            "st & t abnorm, wahrscheinlich laterale ischämie oder linksbelastung",
            "st & t abnorm, wahrscheinlich hochlaterale ischämie oder linksbelastung",
            "t abnorm in lateralen ableitungen",
        ),
    ),
    Finding(
        "ISCIN",
        "ischemia in inferior leads",
        names=("ischemic in inferior leads", "inferior ischemia", "inferiore Ischämie"),
        english=(
            "non-specific but consistent with inferior myocardial ischaemia.",
            "inferior myocardial ischaemia is likely.",
            "t waves are inverted in iii, avf. inferior myocardial ischaemia.",
        ),
        german=(
            "st & t abnorm, wahrscheinlich inferiore ischämie oder linksbelastung",
            "t abnorm in inferioren ableitungen",
            "wahrscheinlich inferiore ischämie",
        ),
    ),
    Finding(
        "ISCIL",
        "ischemia in inferolateral leads",
        names=("ischemic in inferolateral leads", "inferolateral ischemia", "inferolaterale Ischämie"),
        english=(
            "non-specific but consistent with inferolateral myocardial ischaemia.",
            "non-specific st-t wave changes in inferolateral leads. ischaemia.",
            "inferolateral myocardial ischaemia is likely.",
        ),
        german=(
            "st & t abnorm, wahrscheinlich inferolaterale ischämie oder linksbelastung",
            "t abnorm in inferolateralen ableitungen",
            "wahrscheinlich inferolaterale ischämie",
        ),
    ),
    Finding("ISCA", "ischemia in anterior or lateral leads", members=("ISCAL", "ISCAS", "ISCLA", "ISCAN")),
    Finding("ISCI", "ischemia in inferior or inferolateral leads", members=("ISCIN", "ISCIL")),
    Finding(
        "STTC",
        "ST-T changes",
        names=(
            "ST/T change",
            "ST-T change",
            "ST and T wave changes",
            "ST-T abnormality",
            "ST-T wave changes",
            "repolarization abnormality",
            "repolarisation abnormality",
            "ST-T-Veränderungen",
            "Repolarisationsstörung",
            "Erregungsrückbildungsstörung",
        ),
        english=("st-t changes.", "st & t abnormality.", "abnormal st segments and t waves."),
        german=("st & t abnorm", "st & t abnormal", "pathologische repolarisation"),
        members=("NDT", "ISC_", "NST_", "ISCAL", "ISCIN"),
    ),
    Finding(
        "STD_",
        "ST depression",
        names=(
            "non-specific ST depression",
            "ST segment depression",
            "ST depressed",
            "ST-Senkung",
            "ST-Streckensenkung",
        ),
        english=(
            "st segments are depressed in i, avl, v5,6.",
            "st segments are depressed.",
            "minor non-specific st segment depression.",
            "st segments are depressed in ii, iii, avf, v4,5,6.",
            "non-specific st segment depression in v4,5,6.",
        ),
        german=("st-senkung", "st-senkung in v4-6", "diskrete st-senkung in v5,v6", "leichte st-senkung"),
    ),
    Finding(
        "STE_",
        "ST elevation",
        names=("non-specific ST elevation", "ST segment elevation", "ST elevated", "ST-Hebung", "ST-Streckenhebung"),
        english=(
            "st segments are elevated in v2,3.",
            "st segment elevation.",
            "st segments are slightly elevated.",
            "non-specific st segment elevation in v2,3,4.",
        ),
        german=("st-hebung", "st-hebung in v2", "st-hebung in v2-3", "unspezifisch abnormes st-t (hebung)"),
    ),
    Finding(
        "STTU",
        "upsloping ST segment",
        names=("ST tilt up", "ST-T tilt up", "upsloping ST", "aszendierende ST-Strecke"),
        english=(
            "upsloping st segments.",
            "st segments are elevated and upsloping.",
            "upsloping st segment in chest leads.",
        ),
        german=("st-strecke aszendierend", "aszendierende st-hebung", "aszendierender verlauf der st-strecke"),
    ),
    Finding(
        "LOWT",
        "low amplitude T waves",
        names=("low T waves", "flat T waves", "T wave flattening", "low T", "flache T-Wellen", "T-Abflachung"),
        english=(
            "t waves are low or flat in limb leads and v5,6.",
            "t waves are low or flat throughout.",
            "t waves are low.",
            "t waves are low or flat in these leads.",
        ),
        german=("t abgeflacht", "flache t in iii, avf", "t abgeflacht in allen ableitungen", "flaches t in v5,v6"),
    ),
    Finding(
        "INVT",
        "inverted T waves",
        names=(
            "T wave inversion",
            "inverted T",
            "T inversion",
            "negative T waves",
            "T wave opposite",
            "negative T-Wellen",
            "T-Negativierung",
            "T-Inversion",
            "T-Wellen-Inversion",
        ),
        english=(
            "t waves are inverted in i, avl, v5,6.",
            "t waves are inverted.",
            "t waves are inverted in v2,3.",
            "t wave inversion in ii, iii, avf.",
        ),
        german=("t negativ in v4-6", "t neg. in i, avl", "neg. t in v1-4", "t negativ in iii, avf"),
    ),
    Finding(
        "NT_",
        "non-specific T wave changes",
        names=(
            "nonspecific T changes",
            "nonspecific T wave abnormality",
            "unspezifische T-Veränderungen",
            "unspezifische T-Wellen-Veränderungen",
        ),
        english=(
            "non-specific t wave flattening in i, avl, v5,6.",
            "non-specific t wave flattening.",
            "minor non-specific t wave flattening in i, avl.",
            "non-specific t wave flattening in i and inversion in avl.",
        ),
        german=("unspezifische t-veränderungen", "t unspezifisch abgeflacht", "unspezifische t abflachung"),
    ),
    Finding(
        "TAB_",
        "T wave abnormality",
        names=("T wave abnormalities", "abnormal T wave", "abnormal T waves", "T abnormality", "abnorme T-Welle"),
        english=("t wave abnormality.", "t waves are abnormal.", "t abnormality in v2,3."),
        german=("t-veraenderungen neg. in v2, v3", "t-veränderungen", "t biphas. in v2, v3"),
    ),
    Finding(
        "TWC",
        "T wave change",
        names=("T wave changes", "T changes", "T-Wellen-Veränderung", "T-Veränderungen"),
        members=("NT_", "LOWT", "INVT", "TAB_"),
    ),
)

_CONDUCTION = (
    Finding(
        "LAFB",
        "left anterior fascicular block",
        names=(
            "LAHB",
            "LAH",
            "LAF block",
            "left anterior hemiblock",
            "linksanteriorer Hemiblock",
            "linksanteriorer Faszikelblock",
        ),
        english=(
            "left axis deviation. left anterior fascicular block.",
            "left anterior fascicular block.",
            "sinus rhythm. left axis deviation. left anterior fascicular block.",
            "borderline criteria for left anterior fascicular block.",
        ),
        german=(
            "ueberdrehter linkstyp linksanteriorer hemiblock",
            "linksanteriorer hemiblock",
            "sinusrhythmus ueberdrehter linkstyp linksanteriorer hemiblock",
            "sinusrhythmus ueberdrehter linkstyp",
        ),
    ),
    Finding(
        "LPFB",
        "left posterior fascicular block",
        names=(
            "LPHB",
            "LPH",
            "left posterior hemiblock",
            "linksposteriorer Hemiblock",
            "linksposteriorer Faszikelblock",
        ),
        english=(
            "right axis deviation. left posterior fascicular block.",
            "probable left posterior fascicular block.",
            "rightward axis. possible left posterior fascicular block.",
        ),
        german=(
            "rechtstyp linksposteriorer hemiblock",
            "ueberdrehter rechtstyp linksposteriorer hemiblock",
            "linksposteriorer hemiblock",
        ),
    ),
    Finding(
        "LAFB/LPFB",
        "fascicular block",
        names=("hemiblock", "left fascicular block", "left anterior or posterior fascicular block"),
        members=("LAFB", "LPFB"),
    ),
    Finding(
        "CRBBB",
        "complete right bundle branch block",
        names=(
            "RBBB",
            "complete RBBB",
            "right bundle branch block",
            "right bundle-branch block",
            "(complete) right BBB",
            "Rechtsschenkelblock",
            "kompletter Rechtsschenkelblock",
            "RSB",
        ),
        english=(
            "right bundle branch block.",
            "sinus rhythm. right bundle branch block.",
            "complete right bundle branch block.",
            "right bundle branch block. pr interval is normal.",
        ),
        german=(
            "rechtsschenkelblock",
            "lagetyp normal rechtsschenkelblock",
            "sinusrhythmus rechtsschenkelblock",
            "sinusrhythmus lagetyp normal rechtsschenkelblock",
        ),
    ),
    Finding(
        "CLBBB",
        "complete left bundle branch block",
        names=(
            "LBBB",
            "complete LBBB",
            "left bundle branch block",
            "left bundle-branch block",
            "(complete) left BBB",
            "Linksschenkelblock",
            "kompletter Linksschenkelblock",
            "LSB",
        ),
        english=(
            "left bundle branch block.",
            "left bundle branch block, most commonly due to ischaemic heart disease.",
            "sinus rhythm. left bundle branch block.",
            "left axis deviation. left bundle branch block.",
        ),
        german=(
            "linkstyp linksschenkelblock",
            "linksschenkelblock",
            "ueberdrehter linkstyp linksschenkelblock",
            "sinusrhythmus linkstyp linksschenkelblock",
            "lagetyp normal linksschenkelblock",
        ),
    ),
    Finding(
        "IRBBB",
        "incomplete right bundle branch block",
        names=(
            "incomplete RBBB",
            "partial right bundle branch block",
            "unvollständiger Rechtsschenkelblock",
            "inkompletter Rechtsschenkelblock",
            "iRSB",
        ),
        english=(
            "incomplete right bundle branch block.",
            "sinus rhythm. incomplete right bundle branch block.",
            "incomplete right bundle branch block. otherwise normal ecg.",
            "incomplete right bundle branch block, this is probably a normal variant.",
        ),
        german=(
            "unvollständiger rechtsschenkelblock",
            "lagetyp normal unvollständiger rechtsschenkelblock",
            "unvollständiger rechtsschenkelblock sonst normales ekg",
            "sinusrhythmus lagetyp normal unvollständiger rechtsschenkelblock",
        ),
    ),
    Finding(
        "ILBBB",
        "incomplete left bundle branch block",
        names=(
            "incomplete LBBB",
            "partial left bundle branch block",
            "unvollständiger Linksschenkelblock",
            "inkompletter Linksschenkelblock",
            "iLSB",
        ),
        english=(
            "incomplete left bundle branch block.",
            "sinus rhythm. incomplete left bundle branch block.",
            "partial left bundle branch block.",
        ),
        german=(
            "unvollständiger linksschenkelblock",
            "lagetyp normal unvollständiger linksschenkelblock",
            "linkstyp unvollständiger linksschenkelblock",
        ),
    ),
    Finding("BBB", "bundle branch block", names=("bundle-branch block", "Schenkelblock"), members=("CLBBB", "CRBBB")),
    Finding(
        "IVCD",
        "non-specific intraventricular conduction disturbance",
        names=(
            "non-specific intraventricular conduction disturbance (block)",
            "intraventricular conduction delay",
            "non-specific intraventricular conduction delay",
            "intraventricular conduction disturbance",
            "NIVCD",
            "IVB",
            "intraventricular block",
            "intraventrikuläre Leitungsstörung",
            "intraventrikulärer Block",
        ),
        english=(
            "non-specific intraventricular delay.",
            "non-specific intraventricular block.",
            "sinus rhythm. non-specific intraventricular delay.",
        ),
        german=(
            "intraventr. leitungsstoerung",
            "unspezifischer intraventrikulärer block",
            "unspezifische intraventrikuläre leitungsstörung",
            "lagetyp normal intraventr. leitungsstoerung",
        ),
    ),
    Finding(
        "LPR",
        "prolonged PR interval",
        names=(
            "long PR interval",
            "long PR",
            "prolonged PR",
            "PR prolongation",
            "PR interval extension",
            "PQ-Verlängerung",
            "verlängerte PQ-Zeit",
            "PR-Verlängerung",
        ),
        english=(
            "prolonged pr interval.",
            "sinus rhythm. prolonged pr interval.",
            "prolonged pr interval. otherwise normal ecg.",
        ),
        german=("pq-zeit verlängert", "verlängerte pq-zeit", "pq-verlängerung"),
    ),
    Finding(
        "1AVB",
        "first degree AV block",
        names=(
            "first-degree atrioventricular block",
            "1st degree AV block",
            "1st degree atrioventricular block",
            "AV block first degree",
            "AV block 1",
            "AV-Block I",
            "AV-Block 1. Grades",
            "AV-Block ersten Grades",
            "AVB1",
            "first degree heart block",
            "1st degree heart block",
            "AV-Block I. Grades",
            "I-AVB",
            "1dAVB",
            "FAVB",
        ),
        english=("first degree av block.", "sinus rhythm. first degree av block.", "grossly prolonged pr interval."),
        german=(
            "a-v block i",
            "sinusrhythmus a-v block i",
            "a-v block i lagetyp normal",
            "av-block 1. grades",
        ),
        members=("LPR",),
    ),
    Finding(
        "2AVB",
        "second degree AV block",
        names=(
            "second-degree atrioventricular block",
            "2nd degree AV block",
            "2nd degree atrioventricular block",
            "AV-Block II",
            "AV-Block 2. Grades",
            "AV-Block zweiten Grades",
            "AV-Block II. Grades",
            "second degree heart block",
            "Mobitz II",
        ),
        english=("second degree av block.", "2:1 av block.", "sinus rhythm with 2:1 av block."),
        german=("av-block ii. grades", "av-block 2. grades", "a-v block 2:1"),
    ),
    Finding(
        "2AVB1",
        "second degree AV block, Mobitz type I",
        names=(
            "Wenckebach",
            "Wenckebach block",
            "Mobitz I",
            "second degree AV block type 1",
            "AV-Block Typ Wenckebach",
        ),
        english=("second degree av block, type i.", "wenckebach av block.", "av block with wenckebach phenomenon."),
        german=("av-block ii. grades typ wenckebach", "av-block 2. grades typ i", "wenckebach block"),
    ),
    Finding(
        "3AVB",
        "third degree AV block",
        names=(
            "third-degree atrioventricular block",
            "3rd degree AV block",
            "3rd degree atrioventricular block",
            "AV-Block III",
            "AV-Block 3. Grades",
            "AV-Block dritten Grades",
            "AV-Block III. Grades",
            "complete heart block",
            "complete AV block",
            "third degree heart block",
            "CHB",
            "totaler AV-Block",
            "kompletter AV-Block",
        ),
        english=("complete av block.", "third degree av block.", "complete heart block with av dissociation."),
        german=("av-block iii. grades", "av-block 3. grades", "av-dissoziation"),
    ),
    Finding(
        "_AVB",
        "AV block",
        names=("atrioventricular block", "heart block", "atrioventrikulärer Block", "AV-Blockierung"),
        members=("1AVB", "2AVB", "3AVB"),
    ),
    Finding(
        "WPW",
        "Wolff-Parkinson-White syndrome",
        names=(
            "Wolf-Parkinson-White syndrome",
            "Wolff-Parkinson-White",
            "preexcitation",
            "pre-excitation syndrome",
            "ventricular preexcitation",
            "delta wave",
            "WPW-Syndrom",
            "WPW syndrome",
            "Wolff-Parkinson-White-Syndrom",
            "Präexzitation",
        ),
        english=(
            "pr interval is short and delta waves are present.",
            "wolff-parkinson-white syndrome.",
            "a pre-excitation syndrome cannot be excluded.",
        ),
        german=("möglicherweise wpw typ b", "sinusrhythmus möglicherweise wpw typ b", "wpw typ a"),
    ),
    Finding(
        "CD",
        "conduction disturbance",
        names=(
            "conduction disorder",
            "conduction defect",
            "conduction abnormality",
            "conduction delay",
            "Leitungsstörung",
            "Erregungsleitungsstörung",
            "Reizleitungsstörung",
        ),
        members=("LAFB", "IRBBB", "1AVB", "IVCD", "CRBBB", "CLBBB"),
    ),
)

_CHAMBERS_AND_QRS = (
    Finding(
        "VCLVH",
        "voltage criteria for left ventricular hypertrophy",
        names=(
            "voltage criteria (QRS) for left ventricular hypertrophy",
            "voltage criteria for LVH",
            "LVH by voltage",
            "Amplitudenkriterien für Linkshypertrophie",
        ),
        english=(
            "voltages are high in chest leads suggesting lvh.",
            "voltages are high in limb leads suggesting lvh.",
            "sinus rhythm. voltages are high in chest leads suggesting lvh.",
        ),
        german=(
            "mässige amplitudenkriterien für linkshypertrophie",
            "lagetyp normal mässige amplitudenkriterien für linkshypertrophie",
            "sinusrhythmus lagetyp normal mässige amplitudenkriterien für linkshypertrophie",
        ),
    ),
    Finding(
        "LVH",
        "left ventricular hypertrophy",
        names=(
            "LV hypertrophy",
            "left heart hypertrophy",
            "linksventrikuläre Hypertrophie",
            "Linkshypertrophie",
            "Linksherzhypertrophie",
        ),
        english=(
            "left ventricular hypertrophy.",
            "probable left ventricular hypertrophy.",
            "voltages of left ventricular hypertrophy.",
        ),
        german=(
            "linkshypertrophie",
            "linkshypertrophie möglich",
            "lagetyp normal linkshypertrophie",
            "kammerhypertrophie lvh möglich",
        ),
        members=("VCLVH",),
    ),
    Finding(
        "RVH",
        "right ventricular hypertrophy",
        names=(
            "RV hypertrophy",
            "right heart hypertrophy",
            "rechtsventrikuläre Hypertrophie",
            "Rechtshypertrophie",
            "Rechtsherzhypertrophie",
        ),
        english=(
            "right ventricular hypertrophy.",
            "possible right ventricular hypertrophy.",
            "right axis deviation. right ventricular hypertrophy.",
        ),
        german=(
            "rechtshypertrophie",
            "rechtshypertrophie möglich",
            "ueberdrehter rechtstyp rechtshypertrophie",
            "rechtstyp rvh möglich",
        ),
    ),
    Finding(
        "SEHYP",
        "septal hypertrophy",
        names=("septum hypertrophy", "Septumhypertrophie"),
        english=(
            "deep but narrow q waves in v4,5,6 may indicate septal hypertrophy.",
            "may indicate septal hypertrophy rather than old infarction.",
            "possible septal hypertrophy.",
        ),
        german=("septale hypertrophie", "septale hypertrophie möglich", "verdacht auf septale kammerhypertrophie"),
    ),
    Finding(
        "LAO/LAE",
        "left atrial overload/enlargement",
        names=(
            "LAO",
            "LAE",
            "left atrial enlargement",
            "left atrial overload",
            "left atrial hypertrophy",
            "P mitrale",
            "left atrial abnormality",
            "linksatriale Vergrößerung",
            "P-sinistroatriale",
            "P-sinistrocardiale",
            "Vorhofüberlastung links",
            "linksatriale Belastung",
        ),
        english=(
            "possible left atrial enlargement.",
            "left atrial enlargement.",
            "sinus rhythm. possible left atrial enlargement.",
        ),
        german=(
            "p-sinistrocardiale",
            "verdacht auf p-sinistrocardiale",
            "vorhofsueberbelastung links",
            "sinusrhythmus p-sinistrocardiale",
        ),
    ),
    Finding(
        "RAO/RAE",
        "right atrial overload/enlargement",
        names=(
            "RAO",
            "RAE",
            "right atrial enlargement",
            "right atrial overload",
            "right atrial hypertrophy",
            "right atrial abnormality",
            "P pulmonale",
            "rechtsatriale Vergrößerung",
            "P-dextrocardiale",
            "Vorhofüberlastung rechts",
            "rechtsatriale Belastung",
            "P-dextroatriale",
        ),
        english=(
            "right atrial enlargement.",
            "possible right atrial enlargement.",
            "sinus rhythm. right atrial enlargement.",
        ),
        german=("p-dextrocardiale", "vorhofsueberlastung rechts", "sinusrhythmus p-dextrocardiale"),
    ),
    Finding(
        "HYP",
        "hypertrophy",
        names=("cardiac hypertrophy", "ventricular hypertrophy", "Hypertrophie", "Kammerhypertrophie"),
        members=("LVH", "LAO/LAE", "RVH"),
    ),
    Finding(
        "ABQRS",
        "abnormal QRS",
        names=("abnormal QRS complex", "QRS abnormality", "QRS abnormal", "abnormer QRS-Komplex"),
        english=("abnormal qrs.", "qrs complexes are abnormal.", "abnormal nature of qrs complexes."),
        german=(
            "qrs(t) abnorm",
            "lagetyp normal qrs(t) abnorm",
            "qrs(t) abnormal",
            "sinusrhythmus lagetyp normal qrs(t) abnorm",
            "qrs(t) abnorm myokardschaden möglich",
        ),
    ),
    Finding(
        "QWAVE",
        "Q waves present",
        names=(
            "Q wave",
            "Q waves",
            "abnormal Q wave",
            "abnormal Q waves",
            "pathological Q waves",
            "Q-Zacken",
            "pathologische Q-Zacken",
            "Q-Zacke",
        ),
        english=(
            "q waves in ii, iii, avf.",
            "q waves in v2.",
            "q waves in ii, iii, avf are probably normal.",
            "sinus rhythm. q waves in ii, iii, avf.",
        ),
        german=("q in ii, iii, avf", "q in iii", "signifikantes q in iii, avf", "q in v1"),
    ),
    Finding(
        "PRWP",
        "poor R wave progression",
        names=("poor progression of R waves", "poor R progression", "verminderte R-Progression"),
        english=(
            "poor r wave progression.",
            "poor r wave progression in chest leads.",
            "sinus rhythm. poor r wave progression.",
        ),
        german=("schlechte r-progression v1-3", "verzögerte r-progression", "fehlende r-progression v2-3"),
    ),
    Finding(
        "LVOLT",
        "low QRS voltage",
        names=(
            "low QRS voltages in the frontal and horizontal leads",
            "low voltage",
            "low voltages",
            "low QRS voltages",
            "low limb lead voltage",
            "Niederspannung",
            "Niedervoltage",
            "periphere Niederspannung",
        ),
        english=(
            "low limb lead voltage.",
            "sinus rhythm. low limb lead voltage.",
            "low limb lead voltage. no definite pathology.",
            "low voltage ecg.",
        ),
        german=("periphere niederspannung", "niederspannung", "periphere low voltage", "low voltage ekg"),
    ),
    Finding(
        "HVOLT",
        "high QRS voltage",
        names=("high voltage", "high voltages", "high QRS voltages", "Hochvoltage", "hohe QRS-Amplituden"),
        english=(
            "voltages in limb leads are at upper limit.",
            "voltages in chest leads are at upper limit.",
            "high v lead voltages are probably normal for age.",
        ),
        german=("hohe amplituden", "hohe qrs amplituden", "hohe amplituden in v ableitungen"),
    ),
    Finding(
        "ALS",
        "left axis deviation",
        names=("axis left shift", "left axis", "leftward axis", "Linkstyp", "überdrehter Linkstyp"),
        english=("left axis deviation.", "sinus rhythm. left axis deviation.", "borderline left axis deviation."),
        german=("ueberdrehter linkstyp", "linkstyp", "linkslagetyp"),
    ),
    Finding(
        "ARS",
        "right axis deviation",
        names=("axis right shift", "right axis", "rightward axis", "Rechtstyp", "überdrehter Rechtstyp"),
        english=("right axis deviation.", "sinus rhythm. right axis deviation.", "rightward axis."),
        german=("rechtstyp", "ueberdrehter rechtstyp", "sinusrhythmus rechtstyp"),
    ),
    # A heart turned clockwise, seen from below, meets the transition from R to S in later chest leads, on the left.
    Finding(
        "CR",
        "clockwise rotation",
        names=("clockwise heart rotation", "Drehung im Uhrzeigersinn"),
        english=(
            "clockwise rotation.",
            "r-s transition zone in v leads displaced to the left.",
            "sinus rhythm. r-s transition zone in v leads displaced to the left.",
        ),
        german=(
            "r-s übergang in v ableitungen nach links verschoben",
            "lagetyp normal r-s übergang in v ableitungen nach links verschoben",
            "sinusrhythmus r-s übergang in v ableitungen nach links verschoben",
        ),
    ),
    Finding(
        "CCR",
        "counterclockwise rotation",
        names=("counter-clockwise heart rotation", "anticlockwise rotation", "Drehung gegen den Uhrzeigersinn"),
        english=(
            "counter clockwise rotation.",
            "r-s transition zone in v leads displaced to the right.",
            "sinus rhythm. r-s transition zone in v leads displaced to the right.",
        ),
        german=(
            "r-s übergang in v ableitungen nach rechts verschoben",
            "lagetyp normal r-s übergang in v ableitungen nach rechts verschoben",
            "sinusrhythmus r-s übergang in v ableitungen nach rechts verschoben",
        ),
    ),
    Finding(
        "UW",
        "U wave",
        names=("U waves", "prominent U waves", "U-Welle"),
        english=("u waves.", "u waves are present.", "prominent u waves in v2,3."),
        german=("u-welle in v2-4", "u-wellen in v2,v3", "angedeutete u-welle in v2-5"),
    ),
    Finding(
        "PWC",
        "P wave change",
        names=("P wave changes", "abnormal P wave", "P-Wellen-Veränderung"),
        english=("p wave axis is abnormal.", "p waves are abnormal.", "p wave changes."),
        german=("p-verbreiterung", "sinusrhythmus p-verbreiterung", "p-welle abnorm"),
    ),
    Finding(
        "ERV",
        "early repolarization",
        names=(
            "early repolarisation",
            "early repolarization of the ventricles",
            "benign early repolarization",
            "frühe Repolarisation",
        ),
        english=(
            "benign early repolarization.",
            "early repolarization.",
            "st segments are elevated in v2-5, this is probably a normal variant.",
        ),
        german=("frühe repolarisation", "st-hebung frühe repolarisation", "sinusrhythmus frühe repolarisation"),
    ),
)

_RHYTHM = (
    Finding(
        "SR",
        "sinus rhythm",
        names=("normal sinus rhythm", "regular sinus rhythm", "NSR", "Sinusrhythmus", "normaler Sinusrhythmus"),
        english=("sinus rhythm.", "regular sinus rhythm.", "rhythm is sinus."),
        german=(
            "sinusrhythmus",
            "sinusrhythmus lagetyp normal",
            "regelmässiger sinusrhythmus",
        ),
    ),
    Finding(
        "STACH",
        "sinus tachycardia",
        names=("sinus tach", "Sinustachykardie"),
        english=(
            "sinus tachycardia.",
            "sinus tachycardia. otherwise normal ecg.",
            "rhythm is sinus tachycardia.",
        ),
        german=(
            "sinustachykardie",
            "sinustachykardie lagetyp normal",
            "sinustachykardie lagetyp normal sonst normales ekg",
        ),
    ),
    Finding(
        "SBRAD",
        "sinus bradycardia",
        names=("bradycardia", "sinus brady", "SB", "Sinusbradykardie", "Bradykardie"),
        english=(
            "sinus bradycardia.",
            "sinus bradycardia. otherwise normal ecg.",
            "sinus bradycardia. the cause of the bradycardia is not evident.",
        ),
        german=(
            "sinusbradykardie",
            "sinusbradykardie lagetyp normal",
            "sinusbradykardie lagetyp normal sonst normales ekg",
        ),
    ),
    Finding(
        "BRADY",
        "bradycardia of any origin",
        names=("slow heart rate", "slow ventricular rate", "langsame Herzfrequenz"),
        english=("bradycardia.", "slow heart rate.", "ventricular rate is slow."),
        german=("bradykardie", "bradykarder rhythmus", "langsame herzfrequenz"),
    ),
    Finding(
        "SARRH",
        "sinus arrhythmia",
        names=("sinus irregularity", "respiratory sinus arrhythmia", "Sinusarrhythmie", "respiratorische Arrhythmie"),
        english=("sinus arrhythmia.", "sinus arrhythmia. normal ecg.", "sinus arrhythmia. otherwise normal ecg."),
        german=("sinus arrhythmie", "sinus arrhythmie lagetyp normal", "sinus arrhythmie sonst normales ekg"),
    ),
    Finding(
        "AFIB",
        "atrial fibrillation",
        names=("AF", "A fib", "auricular fibrillation", "atrial fib", "Vorhofflimmern", "VHF", "VHFli"),
        english=(
            "atrial fibrillation.",
            "atrial fibrillation with rapid ventricular response.",
            "atrial fibrillation with slow ventricular response.",
            "atrial fibrillation with controlled ventricular response.",
        ),
        german=(
            "vorhofflimmern/-flattern",
            "vorhofflimmern/-flattern lagetyp normal",
            "vorhofflimmern",
            "tachykardes vorhofflimmern",
            "vorhofflimmern lagetyp normal",
        ),
    ),
    Finding(
        "AFLT",
        "atrial flutter",
        names=("AFL", "A flutter", "Vorhofflattern", "VHFla"),
        english=(
            "rhythm is atrial flutter with 2:1 av block.",
            "atrial flutter.",
            "atrial flutter with variable av block.",
            "rhythm is atrial flutter with rapid ventricular response.",
        ),
        german=("vorhofflattern", "vorhofflattern mit 2:1 überleitung", "möglicherweise vorhofflattern"),
    ),
    Finding(
        "AT",
        "atrial tachycardia",
        names=("ectopic atrial tachycardia", "atriale Tachykardie", "Vorhoftachykardie"),
        english=(
            "rhythm is atrial tachycardia.",
            "atrial tachycardia.",
            "rhythm is probably atrial tachycardia with 2:1 av block.",
        ),
        german=("atriale tachykardie", "vorhof tachykardie", "atriale tachykardie lagetyp normal"),
    ),
    Finding(
        "SVTAC",
        "supraventricular tachycardia",
        names=("SVT", "narrow complex tachycardia", "supraventrikuläre Tachykardie", "Schmalkomplextachykardie"),
        english=(
            "a rapid regular supraventricular tachycardia is present.",
            "supraventricular tachycardia.",
            "rapid, regular supraventricular tachycardia.",
        ),
        german=(
            "supraventrikuläre tachykardie",
            "supraventrikuläre tachykardie lagetyp normal",
            "supraventrikuläre tachyarrhythmie",
        ),
    ),
    Finding(
        "PSVT",
        "paroxysmal supraventricular tachycardia",
        names=("paroxysmal SVT", "paroxysmale supraventrikuläre Tachykardie"),
        english=(
            "paroxysmal supraventricular tachycardia.",
            "a brief run of paroxysmal supraventricular tachycardia.",
            "paroxysmal supraventricular tachyarrhythmia.",
        ),
        german=(
            "paroxysmale supraventrikuläre tachykardie",
            "supraventrikuläre tachykardie paroxysmal",
            "paroxysmale supraventrikuläre tachyarrhythmie",
        ),
    ),
    Finding("TACHY", "tachycardia", names=("Tachykardie",), members=("STACH", "SVTAC")),
    Finding(
        "SVARR",
        "supraventricular arrhythmia",
        names=("supraventrikuläre Arrhythmie",),
        english=(
            "supraventricular arrhythmia.",
            "possible chaotic atrial rhythm.",
            "irregular supraventricular rhythm.",
        ),
        german=(
            "supraventrikuläre arrhythmie",
            "supraventrikuläre arrhythmie lagetyp normal",
            "supraventrikuläre arrhythmie sonst normales ekg",
        ),
    ),
    Finding(
        "PACE",
        "artificial pacemaker",
        names=(
            "normal functioning artificial pacemaker",
            "pacemaker",
            "paced",
            "paced rhythm",
            "pacing",
            "PM",
            "pacemaker rhythm",
            "ventricular pacing",
            "Schrittmacher",
            "Schrittmacherrhythmus",
            "Herzschrittmacher",
        ),
        english=(
            "pacemaker spikes noted. a regular paced rhythm is present.",
            "a paced rhythm is present. apparently normal pacemaker function.",
            "paced rhythm.",
        ),
        german=("schrittmacher ekg", "schrittmacher", "schrittmacher rhythmus"),
    ),
    Finding(
        "PVC",
        "ventricular premature complex",
        names=(
            "premature ventricular complex",
            "premature ventricular contraction",
            "premature ventricular beat",
            "ventricular premature beat",
            "ventricular premature beats",
            "ventricular extrasystole",
            "ventricular ectopic beat",
            "ventricular ectopy",
            "premature ventricular contractions",
            "premature ventricular complexes",
            "PVCs",
            "VPB",
            "VPC",
            "VES",
            "ventrikuläre Extrasystole",
            "ventrikuläre Extrasystolen",
            "ventricular ectopics",
        ),
        english=(
            "premature ventricular contraction(s).",
            "premature ventricular contraction(s). sinus rhythm.",
            "interpolated premature ventricular contraction(s).",
            "ventricular premature beat.",
        ),
        german=(
            "ventrikuläre extrasystole(n)",
            "ventrikuläre extrasystole(n) sinusrhythmus",
            "interponierte ventrikuläre extrasystole(n)",
            "ventrikuläre extrasystole(n) sinusrhythmus lagetyp normal",
        ),
    ),
    Finding(
        "PAC",
        "atrial premature complex",
        names=(
            "premature atrial complex",
            "premature atrial contraction",
            "premature atrial beat",
            "APB",
            "APC",
            "atrial premature beat",
            "atrial premature beats",
            "premature atrial contractions",
            "atrial ectopic beat",
            "supraventricular premature beat",
            "supraventricular extrasystole",
            "atrial extrasystole",
            "SVES",
            "PACs",
            "supraventrikuläre Extrasystole",
            "supraventrikuläre Extrasystolen",
        ),
        english=(
            "premature atrial contraction(s).",
            "premature atrial contraction(s). sinus rhythm.",
            "premature atrial contraction(s). sinus rhythm. otherwise normal ecg.",
        ),
        german=(
            "supraventrikuläre extrasystole(n)",
            "supraventrikuläre extrasystole(n) sinusrhythmus",
            "supraventrikuläre extrasystole(n) sinusrhythmus lagetyp normal",
        ),
    ),
    Finding(
        "PRC(S)",
        "premature complex(es)",
        names=(
            "premature complex",
            "premature complexes",
            "premature beat",
            "premature beats",
            "ectopic beats",
            "ectopic beat",
            "extrasystole",
            "extrasystoles",
            "Extrasystolen",
        ),
        english=("frequent premature beats.", "premature beat(s).", "frequent premature atrial contraction(s)."),
        german=("extrasystolen", "extrasystole(n)", "extrasystolen sinusrhythmus"),
        members=("PVC", "PAC"),
    ),
    Finding(
        "VB",
        "ventricular bigeminy",
        names=("ventrikulärer Bigeminus",),
        english=(
            "premature ventricular contraction(s), bigeminy.",
            "premature ventricular contractions, bigeminy. sinus rhythm.",
            "ventricular bigeminy.",
        ),
        german=(
            "ventrikuläre extrasystole(n), bigeminus",
            "ventrikulärer bigeminus",
            "ventrikuläre extrasystole(n), bigeminus sinusrhythmus",
        ),
    ),
    Finding(
        "BIGU",
        "bigeminal pattern",
        names=("bigeminal pattern (unknown origin, SV or Ventricular)", "bigeminy", "Bigeminus", "Bigeminie"),
        english=(
            "bigeminy. sinus rhythm.",
            "premature atrial contractions, bigeminy.",
            "bigeminy.",
        ),
        german=(
            "bigeminie",
            "bigeminie sinusrhythmus",
            "teilweise bigeminie",
            "supraventrikuläre extrasystole(n), bigeminus",
        ),
        members=("VB",),
    ),
    Finding(
        "TRIGU",
        "trigeminal pattern",
        names=("trigeminal pattern (unknown origin, SV or Ventricular)", "trigeminy", "Trigeminus", "Trigeminie"),
        english=(
            "premature atrial contraction(s), trigeminy. sinus rhythm.",
            "premature ventricular contractions, trigeminy.",
            "trigeminy.",
        ),
        german=(
            "ventrikuläre extrasystole(n), trigeminus",
            "supraventrikuläre extrasystole(n), trigeminus sinusrhythmus",
            "trigeminus",
        ),
    ),
    Finding(
        "VEB",
        "ventricular escape beat",
        names=("ventricular escape beats", "ventricular escape", "ventrikuläre Ersatzsystole"),
        english=(
            "ventricular escape beat(s).",
            "ventricular escape beat(s). sinus rhythm.",
            "ventricular escape rhythm.",
        ),
        german=(
            "ventrikuläre ersatzsystole(n)",
            "ventrikuläre ersatzsystole(n) sinusrhythmus",
            "ventrikulärer ersatzrhythmus",
        ),
    ),
    Finding(
        "JEB",
        "junctional escape beat",
        names=("junctional escape beats", "junctional escape", "AV-Knoten-Ersatzsystole", "junktionale Ersatzsystole"),
        english=("junctional escape beat(s).", "rhythm is probably junctional.", "junctional escape rhythm."),
        german=("av-knotenrhythmus", "av-knotenrhythmus lagetyp normal", "av-knoten ersatzsystole(n)"),
    ),
)

# Labels of CPSC2018 and of Chapman-Shaoxing-Ningbo, as the published row lists head their columns and in that order.
CPSC2018_LABELS = {
    "AFIB": "AFIB",
    "VPC": "PVC",
    "NORM": "NORM",
    "1AVB": "1AVB",
    "CRBBB": "CRBBB",
    "STE": "STE_",
    "PAC": "PAC",
    "CLBBB": "CLBBB",
    "STD": "STD_",
}
CSN_LABELS = {
    "AQW": "QWAVE",
    "UW": "UW",
    "SR": "SR",
    "WPW": "WPW",
    "2AVB": "2AVB",
    "AT": "AT",
    "VB": "VB",
    "ARS": "ARS",
    "STTC": "STTC",
    "SA": "SARRH",
    "STE": "STE_",
    "VPB": "PVC",
    "TWO": "INVT",
    "STTU": "STTU",
    "ALS": "ALS",
    "APB": "PAC",
    "2AVB1": "2AVB1",
    "PRIE": "LPR",
    "CCR": "CCR",
    "CR": "CR",
    "AF": "AFLT",
    "AVB": "_AVB",
    "QTIE": "LNGQT",
    "LBBB": "CLBBB",
    "VEB": "VEB",
    "SVT": "SVTAC",
    "RBBB": "CRBBB",
    "1AVB": "1AVB",
    "STDD": "STD_",
    "MI": "MI",
    "AFIB": "AFIB",
    "TWC": "TWC",
    "PWC": "PWC",
    "ERV": "ERV",
    "RVH": "RVH",
    "LVH": "LVH",
    "ST": "STACH",
    "JEB": "JEB",
}
# The scored diagnoses of the PhysioNet/CinC Challenge 2021 by its abbreviations; one of two that it scores as one.
CHALLENGE_LABELS = {
    "AF": "AFIB",
    "AFL": "AFLT",
    "BBB": "BBB",
    "Brady": "BRADY",
    "IAVB": "1AVB",
    "IRBBB": "IRBBB",
    "LAD": "ALS",
    "LAnFB": "LAFB",
    "LBBB": "CLBBB",
    "LPR": "LPR",
    "LQRSV": "LVOLT",
    "LQT": "LNGQT",
    "NSIVCB": "IVCD",
    "NSR": "SR",
    "PAC": "PAC",
    "PR": "PACE",
    "PRWP": "PRWP",
    "PVC": "PVC",
    "QAb": "QWAVE",
    "RAD": "ARS",
    "RBBB": "CRBBB",
    "SA": "SARRH",
    "SB": "SBRAD",
    "STach": "STACH",
    "TAb": "TWC",
    "TInv": "INVT",
}


def _with_members(defined: tuple[Finding, ...]) -> dict[str, Finding]:
    """Return the findings by code, each with the phrasings of its members after its own."""
    findings: dict[str, Finding] = {}
    for finding in defined:
        said_by = (finding, *(findings[code] for code in finding.members))
        findings[finding.code] = replace(
            finding,
            english=tuple(dict.fromkeys(phrase for one in said_by for phrase in one.english)),
            german=tuple(dict.fromkeys(phrase for one in said_by for phrase in one.german)),
        )
    return findings


FINDINGS = _with_members(_NORMAL_AND_GENERAL + _INFARCTION + _ST_AND_T + _CONDUCTION + _CHAMBERS_AND_QRS + _RHYTHM)

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def _key(label: str) -> str:
    """Reduce a label to what tells it from others: letters and digits, one spelling, without the word ECG."""
    words = re.findall(r"[^\W_]+", label.casefold().translate(_UMLAUTS))
    # "ischaemia" and "ischemia" are one word, and so are "Ischämie" and "ischemie".
    return "".join(word for word in words if word not in ("ecg", "ekg")).replace("aemi", "emi")


_CODE_OF = {_key(name): f.code for f in FINDINGS.values() for name in (f.code, f.name, *f.names)}


def find(label: str) -> Finding | None:
    """Look a label up by code or name, whatever its case, punctuation and spacing, with or without "ECG".

    Example:
        >>> find("left bundle-branch block").code, find("Normal ECG").code
        ('CLBBB', 'NORM')
        >>> find("blue") is None
        True
    """
    code = _CODE_OF.get(_key(label))
    return FINDINGS[code] if code else None


def prompts(label: str) -> tuple[str, ...]:
    """Return the phrasings for a label as reports have them, English then German; an unknown label says itself.

    Example:
        >>> prompts("low voltage")[:2]
        ('low limb lead voltage.', 'sinus rhythm. low limb lead voltage.')
        >>> prompts("  Brugada   pattern")
        ('brugada pattern',)
    """
    finding = find(label)
    return finding.english + finding.german if finding else (" ".join(label.lower().split()),)


# What a finding is told from: a normal ECG, unless it is itself part of one.
_OPPOSITES = {"NORM": ("MI", "STTC", "CD", "HYP"), "SR": ("AFIB", "AFLT", "PACE")}


def opposites(label: str) -> tuple[str, ...]:
    """Return the codes of the findings that a label is told from.

    Example:
        >>> opposites("left bundle branch block"), opposites("sinus rhythm")
        (('NORM',), ('AFIB', 'AFLT', 'PACE'))
    """
    finding = find(label)
    return _OPPOSITES.get(finding.code, ("NORM",)) if finding else ("NORM",)
