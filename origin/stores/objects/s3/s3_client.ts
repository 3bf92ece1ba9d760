import { S3Client } from "@aws-sdk/client-s3";

/** Which bucket of which store, as whom, and how it is addressed. Empty texts are as good as absent. */
export interface S3ClientOptions {
  /** A host with or without port, or a URL (then `ssl` says nothing). */
  readonly endpoint: string;
  readonly bucketName: string;
  readonly ssl?: boolean | undefined;
  readonly region?: string | undefined;
  /** Without them the ambient ones of the machine are used (environment, profile, instance role). */
  readonly accessKeyId?: string | undefined;
  readonly accessSecret?: string | undefined;
  /** Whether the bucket's name stands in the path rather than in the host name. Without it: everywhere but at Amazon's. */
  readonly pathStyle?: boolean | undefined;
}

const CONNECT_MS = 5_000;
/** For a client whose calls are over soon. */
const CONNECTIONS = 256;
/** Cloudflare R2 takes it for its only region, and stores without regions for theirs. */
const DEFAULT_REGION = "us-east-1";
const AMAZON = /(^|\.)amazonaws\.com(\.cn)?$/;

/** Without one of ours the client writes warnings to the console. What goes wrong is thrown, too. */
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Makes a client of an S3 store, with so many connections. Each call must be given a signal that bounds it; a call that finds
 * all connections taken fails after the time in which a connection must be made. The caller destroys the client.
 */
export function makeS3Client(options: S3ClientOptions, connections: number = CONNECTIONS): S3Client {
  const endpoint = endpointUrl(options);
  const atAmazon = AMAZON.test(endpoint.hostname);
  const { accessKeyId, accessSecret } = options;
  const agent = { keepAlive: true, maxSockets: connections };
  return new S3Client({
    // Amazon's common host name serves one region only: there the client must find the host of the region by itself.
    ...(endpoint.hostname === "s3.amazonaws.com" ? {} : { endpoint: endpoint.href }),
    region: options.region || DEFAULT_REGION,
    followRegionRedirects: atAmazon,
    forcePathStyle: options.pathStyle ?? !atAmazon,
    ...(accessKeyId && accessSecret ? { credentials: { accessKeyId, secretAccessKey: accessSecret } } : {}),
    // Checksums in trailers need chunked uploads of unknown length, which many stores refuse or store as they come.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // Most stores do not answer "Expect: 100-continue", and each large upload would wait six seconds for it.
    expectContinueHeader: false,
    logger: SILENT,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
}

/** Names a bucket, so that two configurations can be seen to mean the same one. */
export function bucketPlace(options: S3ClientOptions): string {
  return `${endpointUrl(options).href.replace(/\/$/, "")}/${options.bucketName}`;
}

function endpointUrl({ endpoint, ssl }: Pick<S3ClientOptions, "endpoint" | "ssl">): URL {
  return new URL(endpoint.includes("://") ? endpoint : `${ssl === false ? "http" : "https"}://${endpoint}`);
}
