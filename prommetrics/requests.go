package prommetrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

var requests = []family{
	{describe("requests_total", "Requests on the wire that have ended. A get that is not_found is how a follower asks for news.", "kind", "outcome"), goesUp,
		func(s *sample, emit emit) {
			for kind, r := range s.db.Requests {
				for outcome, n := range r.Ended {
					if n > 0 {
						emit(float64(n), kind.String(), outcome.String())
					}
				}
			}
		}},
	counter("received_bytes_total", "Bytes of objects that were read.", func(s *sample) int64 { return s.Requests.Bytes }),
	counter("sent_bytes_total", "Bytes of objects that were stored.", func(s *sample) int64 { return s.Requests.BytesOut }),
	counter("waves_total", "Requests that began while no other was under way.", func(s *sample) int64 { return s.Requests.Waves }),
	counter("hedged_requests_total", "Gets and lists that were late and were made again.", func(s *sample) int64 { return s.Requests.Hedged }),
	counter("hedges_won_total", "Those of them whose second one came first.", func(s *sample) int64 { return s.Requests.HedgeWon }),
	{describe("estimated_dollars_total", "What the requests cost by the prices of AWS S3 Standard in us-east-1, without transfer."), goesUp,
		func(s *sample, emit emit) { emit(s.Requests.Dollars) }},
}

var requestSeconds = describe("request_duration_seconds", "How long requests took on the wire, those that were cancelled left out.", "kind")

// collectDurations makes a histogram for each kind of request that there was.
func (s *sample) collectDurations(ch chan<- prometheus.Metric, replica string) {
	for kind, r := range s.db.Requests {
		n := r.Took.Count()
		if n == 0 {
			continue
		}
		buckets := map[float64]uint64{}
		for bound, below := range r.Took.Below {
			buckets[bound.Seconds()] = uint64(below)
		}
		m, err := prometheus.NewConstHistogram(requestSeconds, uint64(n), r.Took.Sum.Seconds(), buckets, replica, kind.String())
		if err != nil {
			m = prometheus.NewInvalidMetric(requestSeconds, err)
		}
		ch <- m
	}
}
