// What the tests work against: webworld (integration/webworld) and a headless Chromium.
import { spawn, execFileSync } from "node:child_process";
import { createInterface } from "node:readline";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const project = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

// startWorld builds and starts webworld, and resolves to what it tells and how to end it.
export async function startWorld() {
  const dir = mkdtempSync(join(tmpdir(), "litefs-s3-webtest-"));
  const program = join(dir, "webworld");
  execFileSync("go", ["build", "-o", program, "./integration/webworld"], { cwd: project, stdio: "inherit" });
  const child = spawn(program, ["-web", "web"], { cwd: project, stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const line = await Promise.race([
    new Promise((resolve) => createInterface({ input: child.stdout }).once("line", resolve)),
    ended.then((code) => Promise.reject(new Error(`webworld ended with ${code} before it was ready`))),
  ]);
  return {
    ...JSON.parse(line),
    async stop() {
      child.stdin.end();
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export function startBrowser() {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}

// newPage returns a page of the world's own origin, on which the package can be imported.
export async function newPage(browser, world) {
  const page = await browser.newPage();
  page.on("console", (message) => {
    if (!message.text().startsWith("Failed to load resource")) {
      console.error(`the page says: ${message.text()}`); // a Go panic, for instance
    }
  });
  await page.addInitScript(() => {
    // failure is what a promise was rejected with, in a form that a test can look at.
    globalThis.failure = async (promise) => {
      try {
        await promise;
      } catch (err) {
        return { name: err.name, code: err.code, message: err.message, cause: err.cause?.message, isError: err instanceof Error };
      }
      return null;
    };
    globalThis.lib = () => import("/litefs-s3.js");
  });
  await page.goto(world.page + "/test/page.html");
  return page;
}
