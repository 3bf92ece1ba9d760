import { z } from "zod";
import { IMAGE_FORMATS, type ImageFormat } from "./image_info.ts";
import type { Picture } from "./picture.ts";

/** What a decoder process is asked. One question at a time. */
export type Question =
  | { readonly ask: "inspect"; readonly input: string; readonly format: ImageFormat }
  | { readonly ask: "draw"; readonly input: string; readonly output: string; readonly picture: Picture };

const side = z.int().positive();

const imageInfo = z.object({
  format: z.enum(IMAGE_FORMATS),
  width: side,
  height: side,
  frames: z.int().positive(),
  animated: z.boolean(),
  hasAlpha: z.boolean(),
  pixels: side,
  asStored: z.boolean(),
  interlaced: z.boolean(),
  depthBytes: z.int().positive(),
});

const drawn = z.object({
  type: z.enum(["image/jpeg", "image/png", "image/webp"]),
  width: side,
  height: side,
  animated: z.boolean(),
});

/**
 * What a decoder process says. It has read a stranger's file with a large library, so what it says is checked like what
 * any stranger says.
 */
const messageSchema = z.discriminatedUnion("say", [
  /** It is set up, and takes questions. */
  z.object({ say: z.literal("ready") }),
  /** Its resident memory now, bytes. Said many times while it works. */
  z.object({ say: z.literal("resident"), bytes: z.number().nonnegative() }),
  z.object({ say: z.literal("inspected"), info: imageInfo }),
  z.object({ say: z.literal("drawn"), drawn }),
  /** The file is no whole picture. */
  z.object({ say: z.literal("broken"), detail: z.string() }),
  /** It is not the file's fault: the disk is full, the decoders are not as they should be. */
  z.object({ say: z.literal("failed"), detail: z.string() }),
]);

export type Message = z.infer<typeof messageSchema>;

/** The answers to a question. */
export type Answer = Exclude<Message, { say: "ready" | "resident" }>;

/** A message of a decoder process, or `undefined` when it is none. */
export function parseMessage(value: unknown): Message | undefined {
  return messageSchema.safeParse(value).data;
}
