# What the tests of every room share.
go_tool toxiproxy github.com/Shopify/toxiproxy/v2/cmd/server
python_env python3 'jsonschema==4.26.0'
