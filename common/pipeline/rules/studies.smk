for study in STUDIES:

    rule:
        name:
            study
        input:
            STUDIES.figures(study),
            STUDIES.measured(study),
            f"results/{study}/claims.json",


for study, figure in STUDIES.every("figures"):

    rule:
        name:
            f"{study}_{figure.name}"
        input:
            **STUDIES.inputs(study, figure),
        output:
            report(
                f"figures/{study}_{figure.name}.pdf",
                category=study,
                caption=build.caption(f"figures/{study}_{figure.name}.rst"),
            ),
            multiext(f"figures/{study}_{figure.name}", ".png", ".csv", ".json", ".rst"),
        log:
            f"logs/figures/{study}_{figure.name}.log",
        localrule: True
        conda:
            "../../../envs/environment.yml"
        params:
            study=study,
            step=figure.name,
            sources=figure.sources,
            statements=STUDIES.statements(study, figure.claims),
            scale=STUDIES.scale,
            code=provenance.later(f"studies.{study}.plot_{figure.name}"),
        script:
            "figure.py"


for study, measure in STUDIES.every("measures"):

    rule:
        name:
            f"{study}_measure_{measure.name}"
        input:
            **STUDIES.inputs(study, measure),
        output:
            f"results/{study}/{measure.name}.csv",
        log:
            f"logs/{study}/measure_{measure.name}.log",
        conda:
            "../../../envs/environment.yml"
        threads: 1
        params:
            study=study,
            step=measure.name,
            sources=measure.sources,
            arguments=STUDIES.arguments(study, measure),
            code=provenance.later(f"studies.{study}.measure_{measure.name}"),
        script:
            "measure.py"


for judgement in STUDIES.judgements():

    rule:
        name:
            judgement.rule
        input:
            **judgement.inputs,
        output:
            STUDIES.verdicts(judgement.study, judgement.functions),
        log:
            f"logs/{judgement.study}/{judgement.rule}.log",
        localrule: True
        conda:
            "../../../envs/environment.yml"
        params:
            study=judgement.study,
            claims=judgement.functions,
            sources=judgement.claims[0].sources,
            code=provenance.later(*judgement.starts),
        script:
            "judge.py"


build.explain(workflow, STUDIES)
