/**
 * What the file sink needs of an object store: uploads in parts that become an object by one request, and small objects. Every call may be repeated. A store
 * that is away or refuses is an EXTERNAL_SYSTEM error; what an answer means is the caller's business.
 */
export interface MultipartUploads {
  create(key: string): Promise<string>
  /** Answers the part's ETag. A number that was uploaded before is replaced. */
  uploadPart(upload: Upload, partNumber: number, bytes: Uint8Array): Promise<string | 'noSuchUpload'>
  /** `exists`: an object of that name is there, and is left as it is. `invalidPart`: a part is not what it was. */
  complete(upload: Upload, parts: readonly UploadedPart[]): Promise<'completed' | 'exists' | 'noSuchUpload' | 'invalidPart'>
  isOpen(upload: Upload): Promise<boolean>
  abort(upload: Upload): Promise<void>
  put(key: string, bytes: Uint8Array): Promise<void>
  get(key: string): Promise<Uint8Array | undefined>
  size(key: string): Promise<number | undefined>
  remove(key: string): Promise<void>
}

export type Upload = { readonly key: string; readonly uploadId: string }

export type UploadedPart = { readonly partNumber: number; readonly etag: string }
