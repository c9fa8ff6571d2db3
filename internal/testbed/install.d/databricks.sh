# The judge of the Databricks fake: Databricks's own Python SDK.
python_env judge-databricks 'databricks-sdk==0.69.0'
