package prommetrics

import "github.com/prometheus/client_golang/prometheus"

var databases = prometheus.NewDesc(namespace+"_databases", "Replicas that are open in this process.", nil, nil)

// process are the metrics that all replicas of the process share.
var process = []struct {
	desc *prometheus.Desc
	read func(s *sample) int64
}{
	{prometheus.NewDesc(namespace+"_cache_used_bytes", "Memory for pages that the process uses.", nil, nil),
		func(s *sample) int64 { return s.Cache.Used }},
	{prometheus.NewDesc(namespace+"_cache_budget_bytes", "Memory for pages that the process may use.", nil, nil),
		func(s *sample) int64 { return s.Cache.Budget }},
}

func (s *sample) collectProcess(ch chan<- prometheus.Metric) {
	for _, p := range process {
		ch <- constant(p.desc, prometheus.GaugeValue, float64(p.read(s)))
	}
}
