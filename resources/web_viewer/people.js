// The strip of people: click, tap or arrow keys put one on the stage.

export class People {
  // chosen(index): called when the user chooses.
  constructor(page, strip, chosen) {
    this.current = -1;
    this.buttons = page.people.map((person, index) => {
      const button = document.createElement("button"), picture = document.createElement("img");
      Object.assign(picture, { src: person.thumbnail, alt: "", width: 64, height: 64, draggable: false });
      button.type = "button";
      button.className = "person";
      button.title = person.name;
      for (const [name, value] of [["role", "radio"], ["aria-label", person.name], ["aria-checked", "false"]])
        button.setAttribute(name, value);
      button.tabIndex = -1;
      button.append(picture);
      button.addEventListener("click", () => chosen(index));
      strip.append(button);
      return button;
    });
    strip.hidden = page.people.length < 2;
    strip.addEventListener("keydown", (event) => {
      const wanted = { Home: 0, End: this.buttons.length - 1 }[event.key];
      if (wanted === undefined) return;
      event.preventDefault();
      chosen(wanted);
    });
  }

  mark(index) {
    this.current = index;
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-checked", String(i === index));
      button.tabIndex = i === index ? 0 : -1;
    });
    const button = this.buttons[index], strip = button.parentElement;
    if (strip.contains(document.activeElement)) button.focus({ preventScroll: true });
    strip.scrollTo({ left: button.offsetLeft - (strip.clientWidth - button.clientWidth) / 2, behavior: "auto" });
  }
}
