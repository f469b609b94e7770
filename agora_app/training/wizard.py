"""From data to a head on stage: the training wizard. Its fifth page is the monitor of whatever training is on show."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget, QWizard

from agora_app.parts import StepList, style_buttons
from agora_app.training.models.model import TrainingModel
from agora_app.training.models.results import BlendshapeStep, EvaluateStep, InstallStep
from agora_app.training.models.steps import BudgetStep, CheckStep, DataStep, RecipeStep
from agora_app.training.pages import BudgetPage, CheckPage, DataPage, RecipePage
from agora_app.training.result_pages import BlendshapePage, EvaluatePage, InstallPage
from agora_app.training.run_page import RunPage

RUN_PAGE = 4


class TrainingWizard(QWizard):
    """Eight pages. It can be closed at any time: a training goes on, other work under way is ended and goes on another time.

    Signals:
        closed_while_training: it was closed, and the training goes on.

    Args:
        model: the trainings.
        cast, source: models of the live session, for the last page.
        may_film: asks for the consent to use the camera.
        monitor: begin with the page of the training on show.
    """

    closed_while_training = Signal()

    def __init__(self, model: TrainingModel, cast, source, may_film: Callable[[], bool], parent: QWidget | None = None, *,
                 monitor: bool = False) -> None:
        super().__init__(parent)
        self.model = model
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Training"))
        self.setWizardStyle(QWizard.WizardStyle.ModernStyle)
        self.data = DataStep(model, self)
        self.check = CheckStep(self.data, self)
        self.recipe = RecipeStep(self.check, self)
        self.budget = BudgetStep(self.data, self)
        self.evaluation = EvaluateStep(model, self)
        self.blendshapes = BlendshapeStep(model, self)
        self.install = InstallStep(model, cast, source, self)
        self._steps = (self.data, self.check, self.recipe, self.budget, self.evaluation, self.blendshapes, self.install)
        self.run_page = RunPage(model)
        self.pages = (DataPage(self.data), CheckPage(self.check), RecipePage(self.recipe), BudgetPage(self.budget), self.run_page,
                      EvaluatePage(self.evaluation), BlendshapePage(self.blendshapes),
                      InstallPage(self.install, self.blendshapes, may_film))
        self.steps = StepList([self.tr("Data"), self.tr("Check"), self.tr("Recipe"), self.tr("Budget"), self.tr("Training"),
                               self.tr("Quality"), self.tr("Blendshapes"), self.tr("On stage")])
        self.steps.setFixedWidth(150)
        self.setSideWidget(self.steps)
        for number, page in enumerate(self.pages):
            self.setPage(number, page)
        if monitor:
            self.setStartId(RUN_PAGE)
        self._dress()
        self.resize(1000, 700)
        self.currentIdChanged.connect(self.steps.show_step)
        self.customButtonClicked.connect(self.reject)

    def show_monitor(self) -> None:
        """Turn to the training on show."""
        if self.currentId() < RUN_PAGE:
            self.end()
            self.setStartId(RUN_PAGE)
            self.restart()

    def begin_again(self) -> None:
        """Back to the first page, to another training; what was entered is still there."""
        self.setStartId(0)
        self.restart()

    def finish(self) -> None:
        """The new person is on stage."""
        self.done(QWizard.DialogCode.Accepted)

    def done(self, result: int) -> None:
        """Close, and say that a training goes on."""
        self.end()
        super().done(result)
        if self.model.is_active:
            self.closed_while_training.emit()

    def end(self) -> None:
        """End the commands under way, but no training."""
        for step in self._steps:
            step.close()

    def _dress(self) -> None:
        button = QWizard.WizardButton
        self.setOption(QWizard.WizardOption.NoCancelButton)
        self.setOption(QWizard.WizardOption.NoBackButtonOnStartPage)
        self.setOption(QWizard.WizardOption.HaveCustomButton1)
        for kind, words in ((button.CustomButton1, self.tr("Close")), (button.BackButton, self.tr("Back")),
                            (button.NextButton, self.tr("Next")), (button.CommitButton, self.tr("Start training")),
                            (button.FinishButton, self.tr("Install and drive"))):
            self.setButtonText(kind, words)
        self.setButtonLayout([button.CustomButton1, button.Stretch, button.BackButton, button.NextButton, button.CommitButton,
                              button.FinishButton])
        style_buttons(self, button.NextButton, button.CommitButton, button.FinishButton)
        self.button(button.CustomButton1).setToolTip(self.tr("A training goes on; Train ▸ Show training comes back here"))
