// Command dsrun runs Starlark scripts against the datastores and topics that HCL files declare.
package main

func main() { exit(Main(realWorld())) }
