// Package slowproxy puts distance between an S3 client and a server on the same machine, and measures what the client
// does about it.
//
// A [Proxy] passes requests on with host, path and headers unchanged, so that signatures stay valid. On the way it
// waits, caps bandwidth and breaks things as [Settings] say, and it writes down every request:
//
//	proxy, err := slowproxy.New(minio.Endpoint)
//	defer proxy.Close()
//	proxy.Set(slowproxy.Settings{Latency: 25 * time.Millisecond})
//	... open a replica through proxy.URL() ...
//	stats := proxy.Stats()
//	fmt.Println(stats.Total(), "requests in", stats.Waves, "waves,", stats.BytesOut, "bytes")
//
// # Waves
//
// What a client pays for latency is not the number of its requests but how many of them wait for another one. A wave
// starts with a request that arrives when none is in flight. A request counts as answered just before the last byte of
// its answer is sent, so what a client asks for next, having read the answer, is always a new wave.
//
// A client that always keeps something in flight has one wave however long it takes. [Stats.Depth] does not fall for
// that: it is the length of the longest chain of requests each of which arrived after the one before was answered.
package slowproxy
