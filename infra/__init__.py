"""The CDK app: what the platform is made of on AWS, and nothing of what it does."""
