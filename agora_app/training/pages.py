"""The pages of the training wizard before a training runs: data, check, recipe, budget."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.findings import FindingList, muted_wrapping
from agora_app.log import shorten_home
from agora_app.parts import Choice, Figure, Page, muted
from agora_app.training.models.answers import CheckAnswer
from agora_app.training.models.presets import PRESETS
from agora_app.training.models.steps import BudgetStep, CheckStep, DataStep, RecipeStep, Step
from agora_app.training.widgets import FormCard, TaskBar
from agora_app.words import about, size_of

_ADVANCED = ("hours", "batch", "size", "seed", "threads")


class StepPage(Page):
    """A page over a step: whenever the step changes, the page shows it and the wizard asks anew whether one may go on."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step
        self.set_work_margins()
        step.changed.connect(self._on_step)

    def set_work_margins(self) -> None:
        """These pages hold more than those of other wizards."""
        self.column.setContentsMargins(16, 14, 16, 4)
        self.column.setSpacing(10)

    def isComplete(self) -> bool:
        return self.step.is_ready

    def show_step(self) -> None:
        """Show what the step knows."""
        raise NotImplementedError

    def _on_step(self) -> None:
        if self.isVisible():
            self.show_step()
        self.completeChanged.emit()

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self.show_step()


class DataPage(StepPage):
    """Where the pictures come from."""

    def __init__(self, step: DataStep) -> None:
        super().__init__(step)
        store = step.model.store
        self.set_heading(self.tr("What shall it learn from?"),
                         self.tr("Synthetic pictures come with everything known about them, and nobody has to be asked."))
        self.choices: dict[str, Choice] = {}
        self.details = QWidget()
        forms = QVBoxLayout(self.details)
        forms.setContentsMargins(0, 0, 0, 0)
        self.forms: dict[str, FormCard] = {}
        row = QHBoxLayout()
        row.setSpacing(10)
        for kind, icon, title, words, fields in (
                ("synthetic", "mdi6.shimmer", self.tr("Make synthetic pictures"), self.tr("Rendered from studio people."),
                 ("synthetic_count", "synthetic_size", "synthetic_seed", "data_folder")),
                ("folder", "mdi6.database-outline", self.tr("A dataset I have"), self.tr("Made here before, or elsewhere."),
                 ("dataset",)),
                ("photos", "mdi6.image-multiple-outline", self.tr("A folder of photos"), self.tr("Faces are found and fitted."),
                 ("photos", "data_folder"))):
            choice = self.choices[kind] = Choice(icon, title)
            choice.set_words(words)
            choice.clicked.connect(lambda _checked=False, kind=kind: store.change("training", data_kind=kind))
            row.addWidget(choice, 1)
            form = self.forms[kind] = FormCard(store, fields)
            forms.addWidget(form)
        self.make = TaskBar(step.task, self.tr("Make the dataset"), self.tr("Goes on from where it was stopped"))
        self.make.wanted.connect(step.make)
        self.place = muted_wrapping("")
        self.findings = FindingList()
        self.column.addLayout(row)
        for widget in (self.details, self.make, self.place):
            self.column.addWidget(widget)
        self.column.addWidget(self.findings, 1)
        self.show_step()

    def show_step(self) -> None:
        step, form = self.step, self.step.form
        self.choices[form.data_kind].setChecked(True)
        for kind, card in self.forms.items():
            card.setVisible(kind == form.data_kind)
        running = step.task.is_running
        for choice in self.choices.values():
            choice.setEnabled(not running)
        self.details.setEnabled(not running)
        problem = step.problem()
        makes = form.data_kind != "folder"
        self.make.setVisible(makes and not step.is_there)
        self.make.set_start(self.tr("Go on making it") if step.was_begun else self.tr("Make the dataset"), problem is None)
        room = self.tr(", about {0}").format(size_of(step.needed_bytes)) if form.data_kind == "synthetic" else ""
        self.place.setText(self.tr("In {0}{1}").format(shorten_home(str(step.dataset)), room) if makes else "")
        self.place.setVisible(makes)
        problems = [found for found in (step.failure, problem) if found is not None]
        self.findings.show_problems(problems, self.tr("The dataset is there.") if step.is_there and not running else "")


class CheckPage(StepPage):
    """What is wrong with the dataset; what would make the training fail stops one here."""

    def __init__(self, step: CheckStep) -> None:
        super().__init__(step)
        self.set_heading(self.tr("Is the data sound?"),
                         self.tr("Every picture is looked at. What would make the training fail has to be mended first."))
        self.check = TaskBar(step.task, self.tr("Check again"), self.tr("After you have mended something"))
        self.check.wanted.connect(lambda: step.begin(again=True))
        self.summary = muted_wrapping("")
        self.findings = FindingList()
        self.column.addWidget(self.check)
        self.column.addWidget(self.summary)
        self.column.addWidget(self.findings, 1)

    def initializePage(self) -> None:
        self.step.begin()

    def show_step(self) -> None:
        answer: CheckAnswer | None = self.step.answer
        self.summary.setText(self._summary(answer))
        self.summary.setVisible(answer is not None)
        if self.step.failure is not None:
            self.findings.show_problems([self.step.failure])
        elif answer is None:
            self.findings.show_problems([])
        elif answer.findings:
            self.findings.show_findings(answer.sorted_findings)
        else:
            self.findings.show_problems([], self.tr("Nothing is wrong with it."))

    def _summary(self, answer: CheckAnswer | None) -> str:
        if answer is None:
            return ""
        kind = {"synthetic": self.tr("Synthetic"), "portraits": self.tr("Photos")}.get(answer.kind, answer.kind.capitalize())
        images = sum(answer.images.values())
        facts = [kind, self.tr("{0:,} pictures").format(images) if images else "",
                 self.tr("{0:,} people").format(answer.people) if answer.people else "",
                 self.tr("{0} × {0} pixels").format(answer.size) if answer.size else ""]
        return " · ".join(fact for fact in facts if fact)


class RecipePage(StepPage):
    """Which recipe; the details fold out."""

    def __init__(self, step: RecipeStep) -> None:
        super().__init__(step)
        store = step.model.store
        self.set_heading(self.tr("Which recipe?"), self.tr("Each says what it needs and what it gives."))
        self.choices: dict[str, Choice] = {}
        grid = QGridLayout()
        grid.setSpacing(8)
        for place, preset in enumerate(PRESETS):
            choice = self.choices[preset.name] = Choice(preset.icon, preset.shown_title)
            choice.set_words(preset.words)
            choice.setMinimumHeight(118)
            choice.clicked.connect(lambda _checked=False, name=preset.name: store.change("training", recipe=name))
            grid.addWidget(choice, place // 2, place % 2)
        self.file_form = FormCard(store, ("recipe_file",))
        self.fold = QToolButton()
        self.fold.setText(self.tr("Advanced"))
        self.fold.setToolTip(self.tr("Change details of the recipe"))
        self.fold.setCheckable(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.setArrowType(Qt.ArrowType.RightArrow)
        self.fold.toggled.connect(self._fold_out)
        self.advanced = FormCard(store, _ADVANCED)
        body = QWidget()
        body.setProperty("page", True)
        inside = QVBoxLayout(body)
        inside.setContentsMargins(0, 0, 8, 0)
        inside.setSpacing(10)
        inside.addLayout(grid)
        inside.addWidget(self.file_form)
        inside.addWidget(self.fold, 0, Qt.AlignmentFlag.AlignLeft)
        inside.addWidget(self.advanced)
        inside.addStretch(1)
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll.setWidget(body)
        self.findings = FindingList()
        self.findings.setFixedHeight(64)
        self.column.addWidget(self.scroll, 1)
        self.column.addWidget(self.findings)
        self.advanced.setVisible(False)
        self.show_step()

    def show_step(self) -> None:
        form = self.step.form
        self.choices[form.recipe].setChecked(True)
        self.file_form.setVisible(form.recipe == "file")
        self.findings.show_problems(self.step.problems)
        self.findings.setVisible(bool(self.step.problems))

    def _fold_out(self, out: bool) -> None:
        self.fold.setArrowType(Qt.ArrowType.DownArrow if out else Qt.ArrowType.RightArrow)
        self.advanced.setVisible(out)


class BudgetPage(StepPage):
    """What the training takes, against what is there. Behind this page there is no way back but a new start."""

    def __init__(self, step: BudgetStep) -> None:
        super().__init__(step)
        self.set_heading(self.tr("Does it fit this machine?"),
                         self.tr("A few steps are tried, which takes a moment. The training goes on when this window is closed."))
        self.setCommitPage(True)
        self.probe = TaskBar(step.task, self.tr("Estimate again"), self.tr("Try a few steps once more"))
        self.probe.wanted.connect(lambda: step.begin(again=True))
        self.time = Figure(self.tr("Time"), self.tr("Until the end of the recipe"))
        self.speed = Figure(self.tr("Pictures a second"), self.tr("While training on this machine"))
        self.memory = Figure(self.tr("Memory needed"), self.tr("At most, while it trains"))
        self.disk = Figure(self.tr("Disk needed"), self.tr("Checkpoints, samples and logs"))
        figures = QHBoxLayout()
        figures.setSpacing(8)
        for figure in (self.time, self.speed, self.memory, self.disk):
            figures.addWidget(figure, 1)
        self.free = muted("")
        self.place = FormCard(step.model.store, ("runs_folder",))
        self.folder = muted_wrapping("")
        self.findings = FindingList()
        self.column.addWidget(self.probe)
        self.column.addLayout(figures)
        for widget in (self.free, self.place, self.folder):
            self.column.addWidget(widget)
        self.column.addWidget(self.findings, 1)

    def initializePage(self) -> None:
        self.step.begin()

    def validatePage(self) -> bool:
        """Start the training; the page stays when that fails."""
        return self.step.model.start(self.wizard().data.dataset)

    def show_step(self) -> None:
        step, answer = self.step, self.step.answer
        self.time.show_value(about(answer.seconds) if answer else "–")
        self.speed.show_value(f"{answer.images_per_second:.1f}" if answer else "–")
        self.memory.show_value(size_of(answer.memory_bytes) if answer else "–")
        self.disk.show_value(size_of(answer.disk_bytes) if answer else "–")
        self.free.setText(self.tr("Free on this machine: {0} of memory, {1} on the disk").format(
            size_of(step.free_memory), size_of(step.free_disk)))
        self.folder.setText(self.tr("It will be kept in {0}").format(shorten_home(str(step.run_folder))))
        fine = self.tr("It can run here.") if answer is not None else ""
        self.findings.show_problems([] if step.task.is_running else step.problems, fine)


