import json, pathlib
from agora_app.action_table import *
def test_icons():
    import qtawesome
    m=json.load(open(next(pathlib.Path(qtawesome.__file__).parent.glob("fonts/materialdesignicons6*charmap*"))))
    print([s.icon for s in ACTIONS if s.icon.split(".")[1] not in m])
    from collections import Counter
    print([k for k,n in Counter(s.key for s in ACTIONS if s.key).items() if n>1])
def test_reg(qtbot, store, theme_dark):
    from PySide6.QtWidgets import QMainWindow
    from agora_app.actions import ActionRegistry
    w=QMainWindow(); qtbot.addWidget(w)
    r=ActionRegistry(w,store)
    for s in ACTIONS:
        if not s.submenu: r.connect(s.id,lambda:None)
    r.build_menu_bar(w.menuBar()); tb=w.addToolBar("m"); r.build_tool_bar(tb)
    w.resize(1440,300); w.show()
    qtbot.wait(50)
    w.grab().save("/tmp/shots/reg.png")
    m=r._menus["View"]; m.popup(w.pos()); m.grab().save("/tmp/shots/menu.png"); m.close()
