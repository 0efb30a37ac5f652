package prommetrics

import (
	"github.com/prometheus/client_golang/prometheus"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

var caching = []family{
	counter("cache_hits_total", "Pages that were found in memory.", func(s *sample) int64 { return s.Cache.Hits }),
	counter("cache_local_total", "Pages that were read from the local copy.", func(s *sample) int64 { return s.Cache.Local }),
	counter("cache_misses_total", "Pages that had to be fetched or waited for.", func(s *sample) int64 { return s.Cache.Misses }),
	{describe("fetches_total", "Requests for pages, by whether somebody waited when they began.", "ahead"), prometheus.CounterValue,
		func(s *sample, emit emit) {
			emit(float64(s.Cache.Fetches-s.Cache.Ahead), "no")
			emit(float64(s.Cache.Ahead), "yes")
		}},
	counter("rehomings_total", "Times that a file had gone and its pages were found in others.", func(s *sample) int64 { return s.Cache.Rehomings }),
	counter("guessed_pages_total", "Pages that were fetched because indexes or upper b-tree pages name them.",
		func(s *sample) int64 { return s.ReadAhead.Guessed }),
	counter("guessed_right_pages_total", "Those of them that were read.", func(s *sample) int64 { return s.ReadAhead.Right }),
}

// hydrationStates are the words of HydrationStatus.State.
var hydrationStates = []string{"idle", "hydrating", "complete", "stopped"}

// hydration is there for replicas with a local copy.
var hydration = []family{
	{describe("hydration_state", "1 for what the local copy is about, 0 for the others.", "state"), prometheus.GaugeValue,
		func(s *sample, emit emit) {
			if s.Hydration != nil {
				oneOf(hydrationStates, s.Hydration.State, emit)
			}
		}},
	hydrating("hydration_present_pages", "Pages that are local.", prometheus.GaugeValue, func(h *litefss3.HydrationStatus) float64 { return float64(h.Pages) }),
	hydrating("hydration_wanted_pages", "Pages of the database.", prometheus.GaugeValue, func(h *litefss3.HydrationStatus) float64 { return float64(h.Total) }),
	hydrating("hydration_ratio", "Share of the pages that are local, from 0 to 1.", prometheus.GaugeValue,
		func(h *litefss3.HydrationStatus) float64 { return h.Percent / 100 }),
	hydrating("hydration_fetched_bytes_total", "Bytes that were fetched in the background.", prometheus.CounterValue,
		func(h *litefss3.HydrationStatus) float64 { return float64(h.Fetched) }),
	hydrating("hydration_failures_total", "Requests in the background, and writes to the file, that failed. They are tried again.", prometheus.CounterValue,
		func(h *litefss3.HydrationStatus) float64 { return float64(h.Failures) }),
}

func hydrating(name, help string, kind prometheus.ValueType, read func(*litefss3.HydrationStatus) float64) family {
	return family{describe(name, help), kind, func(s *sample, emit emit) {
		if s.Hydration != nil {
			emit(read(s.Hydration))
		}
	}}
}
