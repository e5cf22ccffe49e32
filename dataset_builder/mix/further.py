"""The second batch of annotated sets: 38 public ones whose labels the folder spells out already.

A set whose types are roles in a task (``nl4opt``) is left out. Weights follow breadth and quality: 1.0 for
many types of general interest, 0.2 for few or vague ones, noisy texts or one narrow technology.
"""

from dataset_builder.mix.sources import Source

_UNSTATED = "none stated"

FURTHER = (
    Source("fewnerd_inter_train_part", "Few-NERD, inter split, a part of train", "CC BY-SA 4.0", weight=1.5),
    Source(
        "medquad_llm_open",
        "gliner-medical-finetuning (MedQuAD texts)",
        _UNSTATED,
        weight=0.7,
        related=True,
        free_types=True,
        nested=True,
        passages=True,
    ),
    Source(
        "text2kg_distant",
        "Text2KGBench, distantly labelled",
        "CC BY-SA 4.0",
        weight=0.3,
        exhaustive=False,
        distant=True,
        related=True,
        nested=True,
    ),
    Source(
        "nne_wsj_sample",
        "NNE on the NLTK sample of the WSJ",
        "non-commercial use only",
        weight=0.8,
        nested=True,
    ),
    Source("maintie_gold", "MaintIE, gold", "MIT", weight=0.3, nested=True, levels=True),
    Source("few_tk_keyphrases", "Few-TK", _UNSTATED, weight=0.2),
    Source("maccrobat2020", "MACCROBAT 2020", "CC BY 4.0 (unverified)", weight=0.6, nested=True),
    Source("clinical_trials_lct", "Leaf Clinical Trials corpus", _UNSTATED, weight=0.3, nested=True),
    Source("deal_astronomy", "WIESP 2022 DEAL", "CC BY 4.0 (unverified)", weight=0.7),
    Source("elevant_entities", "ELEVANT benchmarks", "Apache-2.0", weight=0.8, nested=True),
    Source("agriner", "AgriNER", "CC BY-SA 4.0 (unverified)", weight=0.4, nested=True),
    Source("acl_rd_tec2", "ACL RD-TEC 2.0", "CC BY-NC-SA 4.0", weight=0.3),
    Source("bgs_geology", "BGS geology", "CC BY-SA 4.0", weight=0.3),
    Source("bionne_en_nested", "BioNNE (NEREL-BIO), English", _UNSTATED, weight=0.4, nested=True),
    Source("dimb_re_diet", "DiMB-RE", _UNSTATED, weight=0.4, split_words=True, nested=True, passages=True),
    Source("edgar_legal", "E-NER (EDGAR filings)", "CC BY-NC-SA 4.0", weight=0.4),
    Source("fire_finance", "FIRE", "CC BY 4.0", weight=0.7),
    Source("green_jobs", "Green jobs skill extraction", "CC BY 4.0", weight=0.2),
    Source("hipe2020_old_news", "HIPE 2020, English", "CC BY-NC-SA 4.0", weight=0.2),
    Source("hipe_ajmc_classics", "HIPE 2022 AJMC, English", "CC BY 4.0 (unverified)", weight=0.2),
    Source("legal_india_dev", "Indian legal NER, dev", "Apache-2.0", weight=0.6, passages=True),
    Source("litbank_names", "LitBank, proper names", "CC BY 4.0", weight=0.4, nested=True),
    Source("materials_synthesis", "Annotated materials syntheses", "MIT", weight=0.4, nested=True),
    Source("mulms_materials", "MuLMS", "CC BY-SA 4.0", weight=0.3, nested=True),
    Source("music_queries", "music-ner-eacl2023", "MIT", weight=0.5),
    Source("pgxcorpus", "PGxCorpus", "CC BY-NC 4.0", weight=0.4, nested=True),
    Source(
        "phee_adverse_events",
        "PHEE",
        "MIT",
        weight=0.4,
        exhaustive=False,
        related=True,
        nested=True,
    ),
    Source("presidio_pii", "presidio-research, synthetic", "MIT", weight=0.7),
    Source("redocred_wiki", "Re-DocRED", "MIT", weight=0.6, nested=True),
    Source("scier_ai", "SciER", "GPL-3.0", weight=0.4),
    Source("scirex_ai", "SciREX", "Apache-2.0", weight=0.2),
    Source("skillspan_jobs", "SkillSpan", "MIT", weight=0.3, nested=True),
    Source("sofc_fuel_cells", "SOFC-Exp", "CC BY 4.0", weight=0.4, nested=True),
    Source("somesci_software", "SoMeSci", "CC BY 4.0", weight=0.6, nested=True),
    Source("tdmsci", "TDMSci", "Apache-2.0", weight=0.3),
    Source("tfh_patents", "TFH annotated patents", "MIT", weight=0.2, nested=True),
    Source("topres19th_places", "HIPE 2022 topRes19th, English", "CC BY-NC-SA 4.0", weight=0.2),
    Source("wlp_protocols", "WNUT 2020 wet-lab protocols", "MIT", weight=0.4, nested=True),
)
