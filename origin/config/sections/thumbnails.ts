import * as z from "zod";
import { IMAGE_TYPES } from "../../platform/image_types.ts";
import { bytes, count, decimal, flag, texts } from "../fields.ts";

const MAX_SIDE = 16_384;
const DEFAULT_SIZES = [
  { width: 32, height: 32 },
  { width: 96, height: 96 },
  { width: 320, height: 240 },
  { width: 640, height: 480 },
  { width: 800, height: 600 },
];

const sizeSchema = z.object({
  width: z
    .int({ error: "must be a number of pixels" })
    .min(1)
    .max(MAX_SIDE)
    .meta({ type: "pixels", description: "Width." }),
  height: z
    .int({ error: "must be a number of pixels" })
    .min(1)
    .max(MAX_SIDE)
    .meta({ type: "pixels", description: "Height." }),
});

/** `thumbnails`: small pictures. */
export const thumbnailsSchema = z
  .object({
    maxSourceBytes: bytes(10_485_760, "The largest file a thumbnail is made of; 0: no limit."),
    maxPixels: count(32_000_000, "Pictures of so many pixels and more get no thumbnail.", {
      least: 1,
      type: "pixels",
      domain: false,
      live: false,
    }),
    numWorkers: count(
      10,
      "How many thumbnails are made at once, at most one more than the machine has processors; 0: as many as that.",
      {
        domain: false,
        live: false,
      },
    ),
    sizes: z
      .preprocess(
        (value) => (Array.isArray(value) && value.length === 0 ? DEFAULT_SIZES : value),
        z.array(sizeSchema, { error: "must be a list of sizes" }),
      )
      .default(DEFAULT_SIZES)
      .meta({
        type: "list of sizes",
        least: 1,
        description: "The sizes that are made. The smallest that covers what was asked for is used.",
      }),
    dynamicSizing: flag(false, "Make whatever size is asked for instead."),
    types: texts(
      ["image/jpeg", "image/jpg", "image/png", "image/gif"],
      "The types of pictures that get thumbnails: what a file is counts, not what it is called.",
      { works: Object.values(IMAGE_TYPES).flat() },
    ),
    allowAnimated: flag(true, "Make animated thumbnails of animated pictures."),
    defaultAnimated: flag(false, "Make them where the client does not say."),
    maxAnimateSizeBytes: bytes(10_485_760, "The largest file an animated thumbnail is made of; 0: no limit."),
    preferWebp: flag(
      false,
      "Make WebP of those that do not move, a third smaller than JPEG, for clients that ask for it by name (`Accept: image/webp`, as browsers do). New with mxcdn.",
    ),
    stillFrame: decimal(0.5, "Which frame a still thumbnail shows: 0 is the first, 1 the last.", { min: 0, max: 1 }),
    expireAfterDays: count(
      0,
      "How many days after they were made thumbnails are removed, to be made again when asked for; 0: never.",
      {
        domain: false,
        type: "days",
      },
    ),
  })
  .prefault({})
  .meta({ description: "Thumbnails.", domain: true, live: true });
