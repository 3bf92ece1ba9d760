import { z } from "zod";
import { IMAGE_TYPES, type ImageFormat } from "../../platform/image_types.ts";
import type { Picture } from "../picture.ts";

/** What a decoder process is asked. One question at a time. */
export type Question =
  | { readonly ask: "inspect"; readonly input: string; readonly format: ImageFormat }
  | {
      readonly ask: "draw";
      readonly input: string;
      /** New files: the picture goes into the first that can be written. */
      readonly outputs: readonly string[];
      readonly picture: Picture;
    };

const side = z.int().positive();

const imageInfo = z.object({
  format: z.enum(Object.keys(IMAGE_TYPES) as [ImageFormat, ...ImageFormat[]]),
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
  output: z.int().nonnegative(),
});

/**
 * What a decoder process says. It has read an untrusted file with a large library, so its messages are checked like any
 * untrusted input.
 */
const messageSchema = z.discriminatedUnion("say", [
  /** It is set up, and takes questions. */
  z.object({ say: z.literal("ready") }),
  /** Its resident bytes now, and the milliseconds of processor time that the question has taken. Said many times while it works. */
  z.object({ say: z.literal("usage"), bytes: z.number().nonnegative(), cpuMs: z.number().nonnegative() }),
  z.object({ say: z.literal("inspected"), info: imageInfo }),
  z.object({ say: z.literal("drawn"), drawn }),
  /** The file is no whole picture. */
  z.object({ say: z.literal("broken"), detail: z.string() }),
  /** It is not the file's fault: the disk is full, the decoders are not as they should be. */
  z.object({ say: z.literal("failed"), detail: z.string(), code: z.string().optional() }),
]);

export type Message = z.infer<typeof messageSchema>;

/** The answers to a question. */
export type Answer = Exclude<Message, { say: "ready" | "usage" }>;

/** A message of a decoder process; `undefined` when it is invalid. */
export function parseMessage(value: unknown): Message | undefined {
  return messageSchema.safeParse(value).data;
}
