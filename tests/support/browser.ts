/** Debian's Chromium, and pages in it that collect their errors. */

import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const EXECUTABLE = "/usr/bin/chromium";

/** Flags that turn off everything but the page: updates, telemetry, network detection. */
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Whether there is a browser; tests that need one are skipped elsewhere. */
export function hasBrowser(): boolean {
  try {
    return Deno.statSync(EXECUTABLE).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A browser. Dispose of it to end its processes. */
export class TestBrowser implements AsyncDisposable {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<TestBrowser> {
    return new TestBrowser(await chromium.launch({ executablePath: EXECUTABLE, args: ARGUMENTS }));
  }

  /** A page in a new window without stored data of other pages. Times are in UTC. */
  async open(url: string, options: BrowserContextOptions = {}): Promise<TestPage> {
    const context = await this.#browser.newContext({ timezoneId: "UTC", locale: "en-GB", ...options });
    const page = new TestPage(await context.newPage(), url);
    await page.page.goto(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

/** A page, and what the browser reported about it. */
export class TestPage {
  readonly page: Page;
  /** Errors and warnings of the console, including those of the content security policy, and uncaught errors. */
  readonly complaints: string[] = [];
  /** Requests to other servers than that of the page. */
  readonly strayRequests: string[] = [];

  constructor(page: Page, url: string) {
    this.page = page;
    const { origin } = new URL(url);
    page.setDefaultTimeout(20_000);
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== origin) this.strayRequests.push(request.url());
    });
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(String(error)));
  }
}
