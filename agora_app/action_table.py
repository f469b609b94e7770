"""Every command of the window in one table: menus, tool bar, palette, shortcuts and their sheet are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QT_TRANSLATE_NOOP

CONTEXT = "Actions"  # under which the texts are translated
_ = QT_TRANSLATE_NOOP


@dataclass(frozen=True)
class ActionSpec:
    """A command of the window.

    Attributes:
        id: name in the code and in the settings.
        text: in menus, with an ellipsis when more is asked before anything happens.
        menu: title of its menu, and after a slash of its submenu.
        key: default shortcut in portable form, empty for none.
        icon: name for `agora_app.icons.icon`.
        tooltip: what it does, where the text alone does not say it.
        short: text on the tool bar; empty takes `text`.
        checkable: it is on or off.
        toolbar: whether it is on the tool bar.
        separator: a line stands before it in its menu.
        submenu: it opens a menu that is filled while the program runs.
        context: where the shortcut works.
    """

    id: str
    text: str
    menu: str
    key: str = ""
    icon: str = ""
    tooltip: str = ""
    short: str = ""
    checkable: bool = False
    toolbar: bool = False
    separator: bool = False
    submenu: bool = False
    context: Literal["window", "application"] = "window"


MENUS = (_("Actions", "File"), _("Actions", "Edit"), _("Actions", "View"), _("Actions", "Avatar"), _("Actions", "Tracking"),
         _("Actions", "Record"), _("Actions", "Train"), _("Actions", "Tools"), _("Actions", "Help"))
SUBMENUS = (_("Actions", "Favourites"), _("Actions", "Expression presets"))

FILE = (
    ActionSpec("file.new_from_photo", _("Actions", "New from photo…"), "File", "Ctrl+N", "mdi6.account-plus-outline",
               _("Actions", "Make an avatar of yourself, or of somebody who agreed, from one photo or several")),
    ActionSpec("file.open_video", _("Actions", "Open video…"), "File", "Ctrl+O", "mdi6.movie-open-outline",
               _("Actions", "Let the face in a video or picture drive the head"), _("Actions", "Video"), toolbar=True,
               separator=True),
    ActionSpec("file.open_motion", _("Actions", "Open motion clip…"), "File", "Ctrl+Shift+O", "mdi6.motion-play-outline",
               _("Actions", "Play a recorded motion")),
    ActionSpec("file.open_pack", _("Actions", "Open avatar file…"), "File", "", "mdi6.account-box-multiple-outline",
               _("Actions", "Add the people of a pack, or a head as splats, to the gallery")),
    ActionSpec("file.recent", _("Actions", "Open recent"), "File", "", "mdi6.history", submenu=True),
    ActionSpec("file.import_official", _("Actions", "Import official AGORA…"), "File", "", "mdi6.import",
               _("Actions", "Make a pack of the published weights"), separator=True),
    ActionSpec("file.export", _("Actions", "Export…"), "File", "Ctrl+E", "mdi6.export",
               _("Actions", "Write the person on stage as a web page, as splats or as a mesh")),
    ActionSpec("file.export_snapshot", _("Actions", "Export snapshot"), "File", "", "mdi6.image-outline",
               _("Actions", "Save the picture with all its parameters")),
    ActionSpec("file.quit", _("Actions", "Quit"), "File", "Ctrl+Q", "mdi6.exit-to-app", separator=True),
)
EDIT = (
    ActionSpec("edit.undo", _("Actions", "Undo"), "Edit", "Ctrl+Z", "mdi6.undo",
               _("Actions", "Undo the last choice of a person")),
    ActionSpec("edit.redo", _("Actions", "Redo"), "Edit", "Ctrl+Shift+Z", "mdi6.redo"),
    ActionSpec("edit.preferences", _("Actions", "Preferences…"), "Edit", "Ctrl+,", "mdi6.cog-outline", separator=True),
)
VIEW = (
    ActionSpec("view.frame", _("Actions", "Frame the head"), "View", "F", "mdi6.image-filter-center-focus",
               _("Actions", "Bring the head back into the middle")),
    ActionSpec("view.reset", _("Actions", "Reset view"), "View", "Shift+F", "mdi6.restore",
               _("Actions", "Look from the front again")),
    ActionSpec("view.follow", _("Actions", "Follow the head"), "View", "", "mdi6.crosshairs-gps",
               _("Actions", "The camera turns with the head"), checkable=True),
    ActionSpec("view.orbit", _("Actions", "Slow orbit"), "View", "", "mdi6.rotate-orbit",
               _("Actions", "The camera goes around the head by itself"), checkable=True),
    ActionSpec("view.background", _("Actions", "Next background"), "View", "B", "mdi6.image-filter-hdr",
               _("Actions", "Go through the backgrounds"), separator=True),
    ActionSpec("view.compare", _("Actions", "Compare two people"), "View", "C", "mdi6.compare",
               _("Actions", "Show a second person beside the first"), checkable=True),
    ActionSpec("view.landmarks", _("Actions", "Landmarks on the camera picture"), "View", "L", "mdi6.face-recognition",
               _("Actions", "Show what is tracked"), checkable=True, separator=True),
    ActionSpec("view.performance", _("Actions", "Frame rate and latency"), "View", "I", "mdi6.speedometer",
               _("Actions", "Show them over the picture"), checkable=True),
    ActionSpec("view.inspector", _("Actions", "Mesh inspector"), "View", "", "mdi6.vector-triangle",
               _("Actions", "The fitted head as a mesh, in a window of its own")),
    ActionSpec("view.docks", _("Actions", "Show or hide panels"), "View", "Tab", "mdi6.dock-window", separator=True),
    ActionSpec("view.fullscreen", _("Actions", "Full screen"), "View", "F11", "mdi6.fullscreen",
               _("Actions", "Nothing but the avatar; Esc comes back"), toolbar=True),
    ActionSpec("view.layout_reset", _("Actions", "Reset layout"), "View", "", "mdi6.view-dashboard-outline",
               _("Actions", "Put all panels back where they were at first")),
    ActionSpec("view.theme", _("Actions", "Switch dark and light"), "View", "", "mdi6.theme-light-dark"),
)
TRACKING = (
    ActionSpec("live.camera", _("Actions", "Use the camera"), "Tracking", "", "mdi6.webcam",
               _("Actions", "Drive the head with your own face"), _("Actions", "Camera"), toolbar=True),
    ActionSpec("live.demo", _("Actions", "Play the demo"), "Tracking", "", "mdi6.play-box-outline",
               _("Actions", "Drive the head with a motion that ships with the program"), _("Actions", "Demo"), toolbar=True),
    ActionSpec("live.toggle", _("Actions", "Live"), "Tracking", "Space", "mdi6.play-pause",
               _("Actions", "Hold the picture, or let it live again"), checkable=True, toolbar=True, separator=True),
    ActionSpec("live.rezero", _("Actions", "Set the neutral pose"), "Tracking", "X", "mdi6.target",
               _("Actions", "What you do now counts as looking straight ahead"), _("Actions", "Re-zero"), toolbar=True),
    ActionSpec("live.calibrate", _("Actions", "Calibrate"), "Tracking", "Shift+X", "mdi6.tune-vertical",
               _("Actions", "Two seconds of a calm face make the tracking fit you"), toolbar=True),
    ActionSpec("live.mirror", _("Actions", "Mirror"), "Tracking", "M", "mdi6.flip-horizontal",
               _("Actions", "Show yourself as in a mirror"), checkable=True, separator=True),
    ActionSpec("live.relative", _("Actions", "Relative driving"), "Tracking", "E", "mdi6.delta",
               _("Actions", "Only what differs from the neutral pose moves the head"), checkable=True),
    ActionSpec("live.freeze", _("Actions", "Freeze the expression"), "Tracking", "Z", "mdi6.snowflake",
               _("Actions", "Hold the face as it is; the head goes on moving"), checkable=True),
)
AVATAR = (
    ActionSpec("identity.roll", _("Actions", "New random person"), "Avatar", "Q", "mdi6.dice-5-outline",
               _("Actions", "Roll a seed; undo brings the old one back"), _("Actions", "Roll"), toolbar=True),
    ActionSpec("identity.previous", _("Actions", "Previous person"), "Avatar", "A", "mdi6.chevron-left",
               short=_("Actions", "Previous"), toolbar=True),
    ActionSpec("identity.next", _("Actions", "Next person"), "Avatar", "D", "mdi6.chevron-right", short=_("Actions", "Next"),
               toolbar=True),
    ActionSpec("identity.type_seed", _("Actions", "Type a seed…"), "Avatar", "G", "mdi6.form-textbox",
               _("Actions", "Ask for a person by number")),
    ActionSpec("identity.swap", _("Actions", "Swap the two people"), "Avatar", "S", "mdi6.swap-horizontal"),
    ActionSpec("identity.favourite", _("Actions", "Favourite"), "Avatar", "Ctrl+D", "mdi6.star-outline",
               _("Actions", "Keep the person on stage among the favourites, or take it out"), separator=True),
    *(ActionSpec(f"identity.favourite_{n}", _("Actions", "Favourite %1").replace("%1", str(n)), "Avatar/Favourites", f"Ctrl+{n}",
                 "mdi6.star") for n in range(1, 10)),
    ActionSpec("preset.0", _("Actions", "No preset"), "Avatar/Expression presets", "0", "mdi6.emoticon-neutral-outline",
               _("Actions", "Leave the expression to the tracking")),
    *(ActionSpec(f"preset.{n}", _("Actions", "Expression preset %1").replace("%1", str(n)), "Avatar/Expression presets", str(n),
                 "mdi6.emoticon-outline") for n in range(1, 10)),
)
RECORD = (
    ActionSpec("record.toggle", _("Actions", "Record"), "Record", "R", "mdi6.record-circle-outline",
               _("Actions", "Start or stop a recording"), checkable=True, toolbar=True),
    ActionSpec("record.marker", _("Actions", "Add marker"), "Record", "Ctrl+M", "mdi6.bookmark-outline",
               _("Actions", "Mark this moment of the recording")),
    ActionSpec("record.snapshot", _("Actions", "Snapshot"), "Record", "P", "mdi6.camera-outline",
               _("Actions", "Save the picture with all its parameters"), toolbar=True),
    ActionSpec("record.rerender", _("Actions", "Re-render take…"), "Record", "", "mdi6.movie-edit-outline",
               _("Actions", "Make a take again with another person, view, size or background"), separator=True),
    ActionSpec("record.recover", _("Actions", "Recover recordings…"), "Record", "", "mdi6.lifebuoy",
               _("Actions", "Bring back what an interrupted recording left")),
    ActionSpec("record.folder", _("Actions", "Open the folder of recordings"), "Record", "", "mdi6.folder-open-outline"),
)
TRAIN = (
    ActionSpec("train.new", _("Actions", "New training…"), "Train", "", "mdi6.school-outline",
               _("Actions", "Train people of your own: data, recipe, run, and onto the stage")),
    ActionSpec("train.show", _("Actions", "Show training"), "Train", "Ctrl+T", "mdi6.chart-line",
               _("Actions", "The training that runs, or the last one")),
)
TOOLS = (
    ActionSpec("output.virtual_camera", _("Actions", "Virtual camera"), "Tools", "", "mdi6.video-wireless-outline",
               _("Actions", "Send the picture into a call"), checkable=True, toolbar=True),
    ActionSpec("output.osc", _("Actions", "Send OSC / VMC"), "Tools", "", "mdi6.access-point",
               _("Actions", "Send the parameters to other avatar programs"), checkable=True),
    ActionSpec("tools.palette", _("Actions", "Find a command…"), "Tools", "Ctrl+Shift+P", "mdi6.magnify", separator=True),
    ActionSpec("tools.log", _("Actions", "Log"), "Tools", "Ctrl+L", "mdi6.text-box-outline",
               _("Actions", "What the program has noted")),
    ActionSpec("tools.doctor", _("Actions", "Doctor"), "Tools", "", "mdi6.stethoscope",
               _("Actions", "What works on this machine, and how to mend what does not")),
    ActionSpec("tools.wizard", _("Actions", "First steps"), "Tools", "", "mdi6.auto-fix",
               _("Actions", "Go through the first start again")),
)
HELP = (
    ActionSpec("help.guide", _("Actions", "Guide"), "Help", "F1", "mdi6.book-open-variant"),
    ActionSpec("help.shortcuts", _("Actions", "Keyboard shortcuts"), "Help", "Ctrl+/", "mdi6.keyboard-outline"),
    ActionSpec("help.about", _("Actions", "About"), "Help", "", "mdi6.information-outline", separator=True),
    ActionSpec("help.licences", _("Actions", "Licences"), "Help", "", "mdi6.scale-balance"),
)
ACTIONS: tuple[ActionSpec, ...] = (*FILE, *EDIT, *VIEW, *AVATAR, *TRACKING, *RECORD, *TRAIN, *TOOLS, *HELP)
TOOL_BAR_ORDER = ("live.camera", "file.open_video", "live.demo", "", "live.toggle", "live.rezero", "live.calibrate", "",
                  "identity.roll", "identity.previous", "identity.next", "", "record.toggle", "record.snapshot",
                  "output.virtual_camera", "", "view.fullscreen")
