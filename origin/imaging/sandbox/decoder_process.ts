// The main module of a decoder process: it waits for questions, one at a time, and ends with its parent.
import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { draw } from "../draw.ts";
import { SOURCES } from "../sources/sources.ts";
import type { Answer, Message, Question } from "./decoder_protocol.ts";
import { setUpSharp } from "./sharp_setup.ts";

const USAGE_EVERY_MS = 100;

/** Serving comes before decoding. */
const NICENESS = 5;

// Not process.exit(): that would wait for the drawing under way, and some cannot be interrupted.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("message", (question: Question) => void respond(question));
makeExpendable();
await setUpSharp().then(
  () => say({ say: "ready" }),
  (error: unknown) => say({ say: "failed", detail: describe(error) }),
);

async function respond(question: Question): Promise<void> {
  const before = process.cpuUsage();
  const reports = setInterval(() => say(usageSince(before)), USAGE_EVERY_MS);
  const answer = await answerTo(question);
  clearInterval(reports);
  say(answer);
}

async function answerTo(question: Question): Promise<Answer> {
  try {
    switch (question.ask) {
      case "inspect":
        return { say: "inspected", info: await SOURCES[question.format].inspect(question.input) };
      case "draw":
        return { say: "drawn", drawn: await draw(question.input, question.outputs, question.picture) };
      default:
        return question satisfies never;
    }
  } catch (error) {
    const detail = describe(error);
    return isSystemError(error) ? { say: "failed", detail, code: error.code } : { say: "broken", detail };
  }
}

/** Errors are ignored: `disconnect` reports that the parent has gone. */
function say(message: Message): void {
  process.send?.(message, () => undefined);
}

function usageSince(before: NodeJS.CpuUsage): Message {
  const { user, system } = process.cpuUsage(before);
  return { say: "usage", bytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1000 };
}

/** Errors of the operating system carry its error number; those of the decoders don't. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "errno" in error;
}

function describe(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 500);
}

/** When memory runs short, the kernel should end a decoder and not the server. Linux only; other systems go without. */
function makeExpendable(): void {
  try {
    setPriority(NICENESS);
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {}
}
