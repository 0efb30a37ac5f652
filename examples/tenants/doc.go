// Command tenants serves one database for each tenant, out of as many replicas.
package main
