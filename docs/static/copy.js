/* A button on each block of code that copies it, without the prompts and output of an example. */
for (const block of document.querySelectorAll("div.highlight")) {
  const code = block.querySelector("pre");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.title = "Copy this code";
  button.addEventListener("click", async () => {
    const lines = code.textContent.trimEnd().split("\n");
    const example = lines.some((line) => line.startsWith(">>> "));
    const kept = example ? lines.filter((line) => /^(>>>|\.\.\.)( |$)/.test(line)) : lines;
    const text = kept.map((line) => (example ? line.slice(4) : line)).join("\n");
    try {
      await navigator.clipboard.writeText(text + "\n");
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code); // a page opened as a file: ready for Ctrl-C
      button.textContent = "press Ctrl-C";
    }
    setTimeout(() => (button.textContent = "copy"), 2000);
  });
  block.append(button);
}
