// Command plot draws what the benchmarks have measured as SVG files:
//
//	go run ./integration/bench -only peers -latency 25ms -count 3 -json docs/peers.json
//	go run ./integration/bench/plot -in docs/peers.json -out docs
//
// It reads the medians of the measurement "peers" and draws two charts for each database and latency: how long the work took with
// each of the peers, and how many requests it was. Lengths are logarithmic, for the figures lie three powers of ten apart, and the
// figure itself stands at the end of each bar. The same input gives the same bytes.
package main
