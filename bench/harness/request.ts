/** JSON of a cluster's REST API, for what `RestClient` has no method for. */
export async function requestJson<T>(url: string, method: 'GET' | 'PUT' = 'GET', body?: object): Promise<T> {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const response = await fetch(url, { method, ...sent })
  if (!response.ok) throw new Error(`${method} ${url} answers ${response.status}: ${(await response.text()).slice(0, 500)}`)
  return (await response.json()) as T
}
