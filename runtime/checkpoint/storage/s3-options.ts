import type { ConfigOption, Configuration } from '../../common/config.ts'
import { FlinkError } from '../../common/errors.ts'

export const s3Endpoint: ConfigOption<string | undefined> = {
  key: 's3.endpoint',
  type: 'string',
  defaultValue: undefined,
  doc: 'address of a store that speaks S3, for example http://minio:9000; default: AWS, in the region',
}

export const s3Region: ConfigOption<string | undefined> = {
  key: 's3.region',
  type: 'string',
  defaultValue: undefined,
  doc: 'region of the buckets; default: what the AWS SDK finds (AWS_REGION, the profile), and us-east-1 where s3.endpoint is set and it finds nothing',
}

export const s3PathStyleAccess: ConfigOption<boolean | undefined> = {
  key: 's3.path.style.access',
  type: 'boolean',
  defaultValue: undefined,
  doc: 'whether the bucket stands in the path of a request and not in its host name; default: true where s3.endpoint is set',
}

export const s3AccessKey: ConfigOption<string | undefined> = {
  key: 's3.access-key',
  type: 'string',
  defaultValue: undefined,
  doc: 'access key, together with s3.secret-key; default: what the AWS SDK finds (environment, profile, web identity of a pod, metadata of a machine)',
}

export const s3SecretKey: ConfigOption<string | undefined> = {
  key: 's3.secret-key',
  type: 'string',
  defaultValue: undefined,
  doc: 'secret key of s3.access-key',
}

export const s3OptionTable: readonly ConfigOption<unknown>[] = [s3Endpoint, s3Region, s3PathStyleAccess, s3AccessKey, s3SecretKey]

export interface S3Settings {
  /** Undefined = AWS. */
  readonly endpoint: string | undefined
  readonly region: string | undefined
  readonly pathStyle: boolean
  /** Undefined = what the SDK finds. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
}

export function s3SettingsOf(configuration: Configuration): S3Settings {
  const endpoint = endpointOf(configuration.get(s3Endpoint))
  const accessKeyId = configuration.get(s3AccessKey)
  const secretAccessKey = configuration.get(s3SecretKey)
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    const [given, missing] = accessKeyId === undefined ? [s3SecretKey, s3AccessKey] : [s3AccessKey, s3SecretKey]
    throw new FlinkError('INVALID_CONFIGURATION', `option ${given.key} is set without ${missing.key}`)
  }
  return {
    endpoint,
    region: configuration.get(s3Region),
    pathStyle: configuration.get(s3PathStyleAccess) ?? endpoint !== undefined,
    credentials: accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey },
  }
}

/** A host alone is taken as https, as by Hadoop's S3 file system. The value is not repeated where it may hold a password. */
function endpointOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const url = URL.parse(text.includes('://') ? text : `https://${text}`)
  const wrong = (expected: string) => new FlinkError('INVALID_CONFIGURATION', `option ${s3Endpoint.key}: expected ${expected}`)
  if (url === null || !/^https?:$/.test(url.protocol)) throw wrong('an address such as https://s3.example.com or http://minio:9000')
  if (url.username !== '' || url.password !== '') throw wrong(`no user and password in it, use ${s3AccessKey.key} and ${s3SecretKey.key}`)
  if (url.search !== '' || url.hash !== '') throw wrong('an address without "?" and "#"')
  return url.href
}
