// Where a picture is given: a file chosen, dropped or pasted, or the camera.

import { make } from "./make.js";
import { isHonest } from "./pixels.js";

/**
 * Returns the place: its `element`; `show` puts an image there, or the invitation when there is none.
 *
 * `give` is called with each file that a visitor gives, `refuse` with the key of a sentence where the camera or the
 * clipboard has none, `remove` when the picture is taken away.
 */
export function givingPlace(words, give, refuse, remove) {
  const input = make("input", { type: "file", accept: "image/*,.heic,.avif", hidden: true, "aria-label": words("choose") });
  const invitation = make("p", { class: "invitation" }, words("invitation"));
  const stage = make("div", { class: "stage" }, invitation);
  const button = (key, act, kind = "") => {
    const made = make("button", { type: "button", class: kind || null }, words(key));
    made.addEventListener("click", act);
    return made;
  };
  const choose = button("choose", () => input.click(), "primary");
  const away = make("button", { type: "button", class: "remove", "aria-label": words("remove") }, "×");
  away.addEventListener("click", () => {
    remove();
    // The cross is gone, and with it where the keyboard was.
    choose.focus();
  });
  const camera = cameraOf(words, stage, away, button, give, refuse);
  const paste = button("paste", async () => {
    const file = await fromClipboard();
    if (file) give(file);
    else refuse("nothing_pasted");
  });
  const tools = make("div", { class: "tools" }, choose);
  if (navigator.mediaDevices?.getUserMedia) tools.append(button("camera", camera.open));
  if (navigator.clipboard?.read) tools.append(paste);
  const show = (image) => {
    camera.close();
    stage.replaceChildren(...(image ? [image, away] : [invitation]));
  };
  show(null);
  input.addEventListener("change", () => {
    if (input.files[0]) give(input.files[0]);
    // The same file may be given again.
    input.value = "";
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files[0]) give(event.clipboardData.files[0]);
  });
  // Anywhere: what is dropped beside the place would else take the place of the page.
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) give(event.dataTransfer.files[0]);
  });
  return { element: make("section", { id: "giving", "aria-label": words("picture") }, stage, input, tools), show };
}

async function fromClipboard() {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((name) => name.startsWith("image/"));
      if (type) return await item.getType(type);
    }
  } catch {
    // The visitor, or the browser, said no.
  }
  return null;
}

function cameraOf(words, stage, away, button, give, refuse) {
  let stream = null;
  const close = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
  };
  const open = async () => {
    close();
    try {
      // What is before a phone, not who holds it.
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: { ideal: "environment" } } });
    } catch {
      refuse("no_camera");
      return;
    }
    const video = make("video", { autoplay: true, muted: true, playsinline: true, "aria-label": words("camera") });
    video.srcObject = stream;
    const take = button("camera_take", async () => {
      // Before there is something to see, there is nothing to take.
      if (!video.videoWidth) return;
      if (!(await isHonest())) return refuse("falsified");
      const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob(give, "image/jpeg", 0.95);
    }, "primary");
    stage.replaceChildren(video, take, away);
    take.focus();
  };
  return { open, close };
}
