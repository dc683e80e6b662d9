for study in STUDIES:

    rule:
        name:
            study
        input:
            STUDIES.figures(study),
            f"results/{study}/claims.json",

    build.explain(
        workflow, study, f"Every figure and verdict of the study {study}."
    )

    for step in STUDIES[study].figures.values():

        rule:
            name:
                f"{study}_{step.name}"
            input:
                **STUDIES.inputs(study, step),
            output:
                report(
                    f"figures/{study}_{step.name}.pdf",
                    category=study,
                    caption=build.caption(study, step.name),
                ),
                multiext(f"figures/{study}_{step.name}", ".png", ".csv", ".json"),
            log:
                f"logs/figures/{study}_{step.name}.log",
            conda:
                "../../../envs/environment.yml"
            params:
                study=study,
                step=step.name,
                sources=step.sources,
                code=provenance.digest([f"studies.{study}.plot_{step.name}"]),
            script:
                "figure.py"

        build.explain(
            workflow,
            f"{study}_{step.name}",
            build.first_line(study, f"plot_{step.name}"),
        )

    for step in STUDIES[study].measures.values():

        rule:
            name:
                f"{study}_measure_{step.name}"
            input:
                **STUDIES.inputs(study, step),
            output:
                f"results/{study}/{step.name}.csv",
            log:
                f"logs/{study}/measure_{step.name}.log",
            conda:
                "../../../envs/environment.yml"
            threads: 1
            params:
                study=study,
                step=step.name,
                sources=step.sources,
                code=provenance.digest([f"studies.{study}.measure_{step.name}"]),
            script:
                "measure.py"

        build.explain(
            workflow,
            f"{study}_measure_{step.name}",
            build.first_line(study, f"measure_{step.name}"),
        )
