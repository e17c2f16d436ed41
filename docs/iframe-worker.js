// A page that is opened from the disk cannot start a worker. There, this class
// takes the place of Worker: it runs the script of the search in a hidden frame.
"use strict";

function load(inside, url) {
  return new Promise((resolve, reject) => {
    const script = inside.createElement("script");
    script.src = url;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${url} was not loaded`));
    inside.body.append(script);
  });
}

function message(data) {
  return new MessageEvent("message", { data: structuredClone(data) });
}

class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.frame = document.createElement("iframe");
    this.frame.hidden = true;
    document.body.append(this.frame);
    const inside = this.frame.contentWindow;
    inside.document.open();
    inside.document.write("<!doctype html><body></body>");
    inside.document.close();
    inside.postMessage = (data) => this.dispatchEvent(message(data));
    inside.importScripts = async (...urls) => {
      for (const each of urls) await load(inside.document, each);
    };
    this.started = load(inside.document, url);
  }

  async postMessage(data) {
    await this.started;
    this.frame.contentWindow.dispatchEvent(message(data));
  }

  terminate() {
    this.frame.remove();
  }
}

if (location.protocol === "file:") window.Worker = FrameWorker;
